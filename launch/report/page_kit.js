// What the scripts of all pages share. Texts of the data reach the page through textContent alone.
'use strict';
const kit = (() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const main = document.getElementById('main');
  const plots = [];  // functions that draw, called again when the colour scheme changes

  const number = (value) => value === 'infinity' ? Infinity : value === '-infinity' ? -Infinity : value === null ? NaN : value;
  const el = (tag, properties = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children.filter((child) => child !== null));
    return node;
  };
  const count = (value) => Number.isFinite(number(value)) ? number(value).toLocaleString('en', {maximumSignificantDigits: 4}) : '∞';
  const range = (interval, write) => interval === null ? '' : `${write(interval.low)} to ${write(interval.high)}`;
  const seconds = (s) => s === null ? '–' : s < 1 ? `${(1000 * s).toPrecision(3)} ms` : s < 120 ? `${s.toPrecision(3)} s`
    : s < 7200 ? `${(s / 60).toPrecision(3)} min` : `${(s / 3600).toPrecision(3)} h`;

  const section = (title, note, ...children) => {
    main.append(el('section', {}, el('h2', {textContent: title}), note ? el('p', {className: 'note', textContent: note}) : null, ...children));
  };
  // columns: [title, class]; rows: arrays of texts, each with an optional class of the row. A cell may be [text, smaller text below].
  const table = (columns, rows, caption) => {
    const head = el('tr', {}, ...columns.map(([title, kind]) => el('th', {scope: 'col', className: kind ?? '', textContent: title})));
    const body = rows.map((row) => el('tr', {className: row.kind ?? ''},
      ...row.map((text, i) => el('td', {className: columns[i][1] ?? ''}, ...(Array.isArray(text) ? [text[0], el('small', {textContent: text[1]})] : [text ?? ''])))));
    return el('div', {className: 'scroll', tabIndex: 0, role: 'region', ariaLabel: caption ?? columns.map(([title]) => title).join(', ')},
      el('table', {}, caption ? el('caption', {textContent: caption}) : null, el('thead', {}, head), el('tbody', {}, ...body)));
  };
  const folded = (title, ...contents) => el('details', {}, el('summary', {textContent: title}), ...contents);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Ticks of a logarithmic axis: 1, 2 and 5 of each power of ten, or powers alone where there are many.
  const decades = (low, high) => {
    const steps = Math.log10(high / low) > 3 ? [1] : [1, 2, 5];
    const ticks = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); ++e) ticks.push(...steps.map((m) => m * 10 ** e));
    return ticks.filter((value) => value >= low && value <= high).map((value) => ({value}));
  };

  // `series`: {label, points: [{x, y}], colour, band, dash, fill}. The legend leaves out the edges of bands.
  const plot = (label, xTitle, yTitle, logX, logY, makeSeries) => {
    const canvas = el('canvas', {role: 'img', ariaLabel: label});
    let chart = null;
    plots.push(() => {
      if (chart) chart.destroy();
      const axis = (title, log) => ({type: log ? 'logarithmic' : 'linear', title: {display: true, text: title, color: colour('--soft')},
        grid: {color: colour('--line'), borderColor: colour('--line')},
        ticks: {color: colour('--soft'), maxRotation: 0, autoSkipPadding: 16,
          callback: (v) => v.toLocaleString('en', {notation: Math.abs(v) >= 1e5 ? 'compact' : 'standard', maximumSignificantDigits: 4})},
        ...(log ? {afterBuildTicks: (built) => { built.ticks = decades(built.min, built.max); }} : {})});
      const xs = makeSeries().flatMap((s) => s.points.map((point) => point.x));
      const datasets = makeSeries().map((s) => ({label: s.label, data: s.points, showLine: true, borderColor: s.edge ? 'transparent' : s.colour,
        backgroundColor: s.band ?? s.colour, borderWidth: s.edge ? 0 : 2, borderDash: s.dash ?? [], pointRadius: s.edge || !s.dots ? 0 : 4,
        pointHitRadius: s.edge ? 0 : 12, fill: s.fill ?? false, edge: s.edge === true}));
      const shown = (item, chartData) => !chartData.datasets[item.datasetIndex].edge;
      chart = new Chart(canvas, {type: 'scatter', data: {datasets}, options: {animation: false, responsive: true, maintainAspectRatio: false,
        interaction: {mode: 'nearest', axis: 'x', intersect: false}, scales: {x: {...axis(xTitle, logX), ...(logX ? {min: Math.min(...xs) / 1.15, max: Math.max(...xs) * 1.15} : {max: Math.max(...xs)})}, y: axis(yTitle, logY)},
        plugins: {legend: {position: 'bottom', labels: {filter: shown, color: colour('--ink'), boxHeight: 1, boxWidth: 24}},
          tooltip: {filter: (item) => !item.dataset.edge, callbacks: {label: (item) =>
            `${item.dataset.label}: ${item.parsed.x.toLocaleString('en')} → ${item.parsed.y.toLocaleString('en', {maximumSignificantDigits: 4})}`}}}}});
    });
    return el('div', {className: 'plot'}, canvas);
  };
  const finite = (points) => points.filter((point) => Number.isFinite(point.x) && Number.isFinite(point.y));

  // The last call of a page: draws what plot() has laid out.
  const show = () => {
    Chart.defaults.font.family = getComputedStyle(document.documentElement).fontFamily;
    const drawAll = () => plots.forEach((draw) => draw());
    drawAll();
    // Paper is light, and what is folded cannot be opened there.
    const unfold = () => main.querySelectorAll(':scope > section > details:not([open])').forEach((fold) => { fold.open = fold.dataset.unfolded = true; });
    const fold = () => main.querySelectorAll('details[data-unfolded]').forEach((node) => { node.open = false; delete node.dataset.unfolded; });
    const onPaper = matchMedia('print');
    onPaper.addEventListener('change', () => { (onPaper.matches ? unfold : fold)(); drawAll(); });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll);
    document.documentElement.dataset.ready = 'true';
  };
  return {data, main, plots, number, el, count, range, seconds, section, table, folded, colour, plot, finite, show};
})();
