// Runs before the page is painted: "as the system" needs to know the system.
(function () {
	var root = document.documentElement;
	root.classList.add("js"); // what scripts hide stays visible without them
	var wanted = root.getAttribute("data-wp-theme");
	var dark = window.matchMedia("(prefers-color-scheme: dark)");
	function apply() {
		root.setAttribute("data-bs-theme", wanted === "dark" || (wanted !== "light" && dark.matches) ? "dark" : "light");
	}
	apply();
	dark.addEventListener("change", apply);
})();
