// Draws [data-chart]: stacked columns of mail by outcome. The same numbers are in a table
// below, so nothing is lost without this.
(function () {
	"use strict";
	// Told apart by people who do not see some colours, too; for light and for dark.
	var colours = {
		delivered: ["#1971c2", "#4dabf7"], bounced: ["#d9480f", "#ff922b"], expired: ["#c99700", "#ffe066"],
		cancelled: ["#868e96", "#adb5bd"], suppressed: ["#9c36b5", "#e599f7"], uncertain: ["#087f5b", "#63e6be"]
	};
	function dark() { return document.documentElement.getAttribute("data-bs-theme") === "dark"; }
	function draw(box) {
		var data = JSON.parse(box.getAttribute("data-chart"));
		var shade = dark() ? 1 : 0;
		var number = new Intl.NumberFormat(data.locale);
		// Only what happened is drawn; the first series is the lowest part of a column.
		var series = data.series.filter(function (s) {
			return s.state === "delivered" || s.state === "bounced" || s.values.some(function (v) { return v > 0; });
		});
		var sums = [], total = data.labels.map(function () { return 0; });
		series.forEach(function (s) {
			total = total.map(function (sum, i) { return sum + s.values[i]; });
			sums.push(total);
		});
		var text = dark() ? "#c8d0da" : "#4a5565", grid = dark() ? "#2c3a4e" : "#e6e8eb";
		var columns = uPlot.paths.bars({ size: [0.75, 48], radius: 0 });
		var options = {
			width: box.clientWidth, height: box.clientWidth < 480 ? 220 : 280, cursor: { y: false, points: { show: false } },
			legend: { live: true, markers: { width: 0 } },
			scales: { x: { time: false, range: [-0.6, data.labels.length - 0.4] }, y: { range: function (u, min, max) { return [0, Math.max(4, max * 1.05)]; } } },
			axes: [
				{
					stroke: text, grid: { show: false }, ticks: { stroke: grid }, space: 90, incrs: [1, 2, 3, 4, 6, 7, 10, 14],
					values: function (u, splits) { return splits.map(function (i) { return data.labels[i] === undefined ? "" : data.labels[i]; }); }
				},
				{
					stroke: text, grid: { stroke: grid, width: 1 }, ticks: { show: false }, size: 64,
					values: function (u, splits) { return splits.map(function (v) { return v % 1 ? "" : number.format(v); }); }
				}
			],
			series: [{ label: data.time, value: function (u, v, si, i) { return i === null || i === undefined ? "–" : data.titles[i]; } }]
		};
		var lines = [data.labels.map(function (_, i) { return i; })];
		// The highest column is drawn first, the others over it. The legend goes the same way.
		for (var n = series.length - 1; n >= 0; n--) {
			(function (s, sum) {
				var colour = (colours[s.state] || colours.cancelled)[shade];
				options.series.push({
					label: s.label, stroke: colour, fill: colour, width: 0, paths: columns, points: { show: false },
					value: function (u, v, si, i) { return i === null || i === undefined ? "–" : number.format(s.values[i]); }
				});
				lines.push(sum);
			})(series[n], sums[n]);
		}
		if (box.chart) box.chart.destroy();
		box.chart = new uPlot(options, lines, box);
	}
	function drawAll() {
		document.querySelectorAll("[data-chart]").forEach(function (box) {
			box.hidden = false;
			draw(box);
		});
	}
	var waiting;
	window.addEventListener("resize", function () {
		clearTimeout(waiting);
		waiting = setTimeout(drawAll, 150);
	});
	new MutationObserver(drawAll).observe(document.documentElement, { attributes: true, attributeFilter: ["data-bs-theme"] });
	drawAll();
})();
