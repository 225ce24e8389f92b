// Everything here is a convenience: the pages work without it.
(function () {
	"use strict";
	function say(button, text) {
		var old = button.textContent;
		button.textContent = text;
		setTimeout(function () { button.textContent = old; }, 1500);
	}
	document.addEventListener("click", function (e) {
		var button = e.target.closest("[data-copy]");
		if (!button) return;
		var done = function () { say(button, button.getAttribute("data-copied") || "OK"); };
		var text = button.getAttribute("data-copy");
		if (navigator.clipboard && window.isSecureContext) {
			navigator.clipboard.writeText(text).then(done);
			return;
		}
		var area = document.createElement("textarea");
		area.value = text;
		document.body.appendChild(area);
		area.select();
		if (document.execCommand("copy")) done();
		area.remove();
	});
	// A choice shows what belongs to it: data-show="name=value" or "name=a|b".
	function toggle() {
		document.querySelectorAll("[data-show]").forEach(function (part) {
			var rule = part.getAttribute("data-show").split("=");
			var values = rule[1].split("|");
			var form = part.closest("form") || document;
			var field = form.querySelector('[name="' + rule[0] + '"]:checked') || form.querySelector('select[name="' + rule[0] + '"]');
			var visible = !!field && values.indexOf(field.value) >= 0;
			if (field && field.type === "checkbox") visible = field.checked;
			part.hidden = !visible;
		});
	}
	document.addEventListener("change", toggle);
	// A choice fills in fields: <option data-fill='{"host":"..."}'>.
	document.addEventListener("change", function (e) {
		var option = e.target.selectedOptions ? e.target.selectedOptions[0] : e.target;
		var text = option && option.getAttribute && option.getAttribute("data-fill");
		if (!text || (e.target.type === "radio" && !e.target.checked)) return;
		var form = e.target.closest("form");
		var values = JSON.parse(text);
		Object.keys(values).forEach(function (name) {
			var field = form.elements[name];
			if (!field) return;
			if (field.length && !field.options) {
				Array.prototype.forEach.call(field, function (one) { one.checked = one.value === values[name]; });
			} else if (field.type === "checkbox") field.checked = values[name] === "true";
			else field.value = values[name];
		});
		toggle();
	});
	// A preview follows what is typed: data-preview names the fields that it shows. A form
	// that is sent twice at once is sent once, so the frames take turns.
	var waiting = null;
	function preview(form) {
		form.querySelectorAll("[data-preview]").forEach(function (button, i) {
			setTimeout(function () { form.requestSubmit(button); }, 150 * i);
		});
	}
	document.addEventListener("input", function (e) {
		var form = e.target.form;
		var button = form && form.querySelector("[data-preview]");
		if (!button || button.getAttribute("data-preview").split(" ").indexOf(e.target.name) < 0) return;
		clearTimeout(waiting);
		waiting = setTimeout(function () { preview(form); }, 400);
	});
	document.addEventListener("DOMContentLoaded", function () {
		var button = document.querySelector("[data-preview]");
		if (button) preview(button.form);
	});
	document.addEventListener("htmx:afterSettle", function (e) { // the form came back, with what is wrong
		var button = e.target.querySelector && e.target.querySelector("[data-preview]");
		if (button) preview(button.form);
	});
	document.addEventListener("DOMContentLoaded", toggle);
	document.addEventListener("htmx:afterSettle", toggle);
	// A tab that nobody sees asks for nothing.
	document.addEventListener("htmx:beforeRequest", function (e) {
		if (document.hidden && /^every /.test(e.target.getAttribute("hx-trigger") || "")) e.preventDefault();
	});
	// A button says that its form is under way, and is not pressed twice.
	document.addEventListener("submit", function (e) {
		var button = e.submitter;
		if (!button || !button.getAttribute("data-busy") || e.defaultPrevented) return;
		if (button.getAttribute("aria-disabled")) { e.preventDefault(); return; }
		button.setAttribute("data-idle", button.textContent);
		button.setAttribute("aria-disabled", "true");
		button.textContent = button.getAttribute("data-busy");
	});
	window.addEventListener("pageshow", function () { // back from the next page
		document.querySelectorAll("[data-idle]").forEach(function (button) {
			button.textContent = button.getAttribute("data-idle");
			button.removeAttribute("data-idle");
			button.removeAttribute("aria-disabled");
		});
	});
})();
// A button that prints is shown where there are scripts: without them it could not.
document.querySelectorAll("[data-print]").forEach(function (button) {
	button.hidden = false;
	button.addEventListener("click", function () { window.print(); });
});
