// The page's script. Texts of the data reach the page through textContent alone.
'use strict';
(() => {
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
  const score = (value) => !Number.isFinite(number(value)) ? '–' : data.fraction ? (100 * value).toFixed(1) : Number(value).toPrecision(4);
  const signed = (value) => (number(value) > 0 ? '+' : '') + score(value).replace('-', '−');
  const range = (interval, write) => interval === null ? '' : `${write(interval.low)} to ${write(interval.high)}`;
  const p = (value) => value === null ? '' : value < 1e-4 ? '< 0.0001' : Number(value).toPrecision(2);
  const seconds = (s) => s === null ? '–' : s < 1 ? `${(1000 * s).toPrecision(3)} ms` : s < 120 ? `${s.toPrecision(3)} s`
    : s < 7200 ? `${(s / 60).toPrecision(3)} min` : `${(s / 3600).toPrecision(3)} h`;
  const unit = data.fraction ? ', %' : '';

  const section = (title, note, ...children) => {
    main.append(el('section', {}, el('h2', {textContent: title}), note ? el('p', {className: 'note', textContent: note}) : null, ...children));
  };
  // columns: [title, class]; rows: arrays of texts, each with an optional class of the row.
  const table = (columns, rows, caption) => {
    const head = el('tr', {}, ...columns.map(([title, kind]) => el('th', {scope: 'col', className: kind ?? '', textContent: title})));
    const body = rows.map((row) => el('tr', {className: row.kind ?? ''},
      ...row.map((text, i) => el('td', {className: columns[i][1] ?? '', textContent: text ?? ''}))));
    return el('div', {className: 'scroll', tabIndex: 0, role: 'region', ariaLabel: caption ?? columns.map(([title]) => title).join(', ')},
      el('table', {}, caption ? el('caption', {textContent: caption}) : null, el('thead', {}, head), el('tbody', {}, ...body)));
  };
  const folded = (title, content) => el('details', {}, el('summary', {textContent: title}), content);
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
  const scale = data.fraction ? 100 : 1;
  const finite = (points) => points.filter((point) => Number.isFinite(point.x) && Number.isFinite(point.y));
  const bandOf = (points, interval, band) => [
    {points: finite(points.map((point) => ({x: point.x, y: scale * number(interval(point).low)}))), edge: true, band},
    {points: finite(points.map((point) => ({x: point.x, y: scale * number(interval(point).high)}))), edge: true, band, fill: '-1'}];

  const drawCalibration = () => {
    const arms = data.arms.filter((arm) => arm.calibration);
    if (arms.length === 0) return [];
    return [folded('Calibration', table([['Arm'], ['Expected calibration error', 'number']],
      arms.map((arm) => [arm.name, Number.isFinite(number(arm.calibration.expected_error)) ? arm.calibration.expected_error.toFixed(3) : '–'])))];
  };

  const drawVerdicts = () => {
    const rows = data.arms.map((arm) => {
      const c = arm.against_baseline;
      const row = [arm.name, c ? c.verdict : 'to beat', score(arm.score), range(arm.interval, score), c ? signed(c.difference) : '',
        c ? range(c.interval, signed) : '', c ? p(c.adjusted_p_value) : ''];
      row.kind = arm.candidate ? 'chosen' : '';
      return row;
    });
    section('Verdict', `Every arm on the sealed test set against the best prompt; intervals at ${count(100 * data.confidence)} %. Bold: the tuned arm ` +
      'that dev chose, the one comparison that was planned. The p-values of all others are corrected together (Holm).',
      table([['Arm'], ['Verdict'], [data.metric + unit, 'number'], ['Interval', 'number'], ['Difference', 'number'], ['Interval', 'number'], ['p', 'number']], rows),
      ...drawCalibration());
  };

  const drawCurve = (curve) => {
    const title = data.curves.length > 1 ? `Learning curve: ${curve.role}` : 'Learning curve';
    const points = curve.points.filter((point) => point.num_examples > 0).map((point) => ({...point, x: point.num_examples}));
    if (points.length === 0) return;
    const series = () => {
      const fit = curve.fit ? curve.fit.predictions.map((point) => ({...point, x: number(point.num_examples)})) : [];
      const ends = [...points, ...fit].map((point) => point.x);
      const baseline = [Math.min(...ends), Math.max(...ends)].map((x) => ({x, y: scale * number(curve.baseline.score)}));
      return [...bandOf(baseline, () => curve.baseline.interval, colour('--other-band')),
        ...bandOf(points, (point) => point.interval, colour('--band')),
        {label: 'best prompt', points: baseline, colour: colour('--other')},
        {label: curve.role, points: finite(points.map((point) => ({x: point.x, y: scale * number(point.score)}))), colour: colour('--accent'), dots: true},
        ...(fit.length ? [{label: 'fitted curve', points: finite(fit.map((point) => ({x: point.x, y: scale * number(point.score)}))),
          colour: colour('--accent'), dash: [3, 5]}] : [])];
    };
    const rows = curve.points.map((point) => [count(point.num_examples), point.against_baseline.verdict, score(point.score),
      range(point.interval, score), signed(point.against_baseline.difference), p(point.against_baseline.adjusted_p_value)]);
    section(title, 'Test score against training examples, bands are intervals. Beyond the last dot the fitted curve is an extrapolation. ' +
      'The sizes are read together, so their p-values are corrected (Holm) and a size can miss here what the planned comparison shows.',
      plot(`${title}; the table below has its figures`, 'training examples', data.metric + unit, true, false, series),
      table([['Examples'], ['Verdict'], ['Score' + unit, 'number'], ['Interval', 'number'], ['Against the prompt', 'number'], ['p', 'number']], rows));
  };

  const drawCosts = () => {
    const costs = data.costs;
    if (!costs) return;
    const line = (side) => finite(costs.curve.map((point) => ({x: number(point.queries), y: number(point[side]) / 3600})));
    const money = (value) => value === null ? '–' : `${Number(value).toPrecision(3)} ${data.currency}`;
    const row = (name, side) => [name, seconds(side.one_time.device_seconds), money(side.one_time.price),
      seconds(1000 * side.query.device_seconds), money(side.query.price_per_1000), count(side.prompt_tokens)];
    section('Costs', 'Device time and prices measured in this run: what was spent once, and what every query adds.',
      plot('Total cost against queries; the table below has its figures', 'queries', 'device-hours', true, true,
        () => [{label: 'best prompt', points: line('prompt'), colour: colour('--other')}, {label: 'tuned', points: line('tuned'), colour: colour('--accent')}]),
      table([[''], ['Once', 'number'], ['Price', 'number'], ['1,000 queries', 'number'], ['Price', 'number'], ['Prompt tokens', 'number']],
        [row('best prompt', costs.prompt), row('tuned', costs.tuned)]),
      folded('Points of the curve', table([['Queries', 'number'], ['Best prompt', 'number'], ['Tuned', 'number']],
        costs.curve.map((point) => [count(point.queries), seconds(point.prompt), seconds(point.tuned)]))));
  };

  const drawTables = () => {
    if (data.equal_data.length) {
      section('The same examples as shots and as training rows', '', table(
        [['Examples'], ['Verdict'], ['Tuned' + unit, 'number'], ['Few-shot' + unit, 'number'], ['Difference', 'number'], ['Interval', 'number']],
        data.equal_data.map(({num_examples: n, comparison: c}) => [count(n), c.verdict, score(c.arm_score), score(c.baseline_score),
          signed(c.difference), range(c.interval, signed)])));
    }
    section('Six questions', '', ...data.questions.flatMap((q) => [el('h3', {textContent: q.question}), el('p', {textContent: q.answer})]));
    if (data.variants.length) {
      section('Prompts tried on dev', 'The best of many is flattered by luck: that is why it is measured again on test.', table(
        [['Prompt'], ['Shots', 'number'], ['Score' + unit, 'number'], ['± error', 'number'], ['Documents', 'number'], ['Prompt tokens', 'number']],
        data.variants.map((v) => Object.assign([v.name + (v.chosen ? ' (chosen)' : ''), count(v.num_shots), score(v.dev_score), score(v.standard_error),
          count(v.num_documents), count(v.prompt_tokens)], {kind: v.chosen ? 'chosen' : ''}))));
    }
  };

  const drawTraining = () => {
    const runs = data.training.filter((run) => run.steps.length > 0);
    if (runs.length === 0) return;
    const choice = el('select', {ariaLabel: 'training run'}, ...runs.map((run, i) => el('option', {value: i, textContent: run.cell})));
    choice.value = runs.length - 1;
    const points = (steps, losses) => finite(steps.map((x, i) => ({x, y: number(losses[i])})));
    const redraw = plots.length;
    const picture = plot('Training loss; the table below has its ends', 'step', 'loss, nats per target token', false, false, () => {
      const run = runs[choice.value];
      return [{label: 'training', points: points(run.steps, run.losses), colour: colour('--other')},
        {label: 'validation', points: points(run.validation_steps, run.validation_losses), colour: colour('--accent'), dots: true}];
    });
    choice.addEventListener('change', () => plots[redraw]());
    const loss = (values) => values.length && Number.isFinite(number(values.at(-1))) ? values.at(-1).toPrecision(4) : '–';
    section('Training', '', el('div', {className: 'tools'}, choice), picture, folded('All runs', table(
      [['Run'], ['Steps', 'number'], ['Last loss', 'number'], ['Last validation loss', 'number']],
      runs.map((run) => [run.cell, count(run.steps.at(-1)), loss(run.losses), loss(run.validation_losses)]))));
  };

  const drawFlips = () => {
    const step = 25;
    const all = [...data.won.map((flip) => ({...flip, kind: 'won'})), ...data.lost.map((flip) => ({...flip, kind: 'lost'}))];
    for (const flip of all) {
      flip.searched = [flip.id, flip.group, flip.target, flip.arm_prediction, flip.baseline_prediction, data.prompts[flip.id] ?? ''].join('\n').toLowerCase();
    }
    const search = el('input', {type: 'search', placeholder: 'Search documents', ariaLabel: 'Search documents', id: 'search'});
    const kind = el('select', {ariaLabel: 'won or lost', id: 'kind'}, ...[['', 'won and lost'], ['won', 'won'], ['lost', 'lost']].map(
      ([value, textContent]) => el('option', {value, textContent})));
    const list = el('div', {id: 'flips'});
    const status = el('p', {className: 'note', role: 'status'});
    const more = el('button', {type: 'button', textContent: 'Show more'});
    let found = [];
    const entry = (flip) => {
      const prompt = data.prompts[flip.id];
      const terms = [['target', flip.target], ['tuned', flip.arm_prediction], ['prompt', flip.baseline_prediction]];
      return el('article', {className: 'flip'}, el('span', {className: flip.kind, textContent: flip.kind}), ` ${flip.id} · ${score(flip.baseline_score)} → ${score(flip.arm_score)}`,
        el('dl', {}, ...terms.flatMap(([term, text]) => [el('dt', {textContent: term}), el('dd', {textContent: text})])),
        prompt ? folded('What was asked', el('pre', {textContent: prompt})) : null);
    };
    const extend = () => {
      list.append(...found.slice(list.childElementCount, list.childElementCount + step).map(entry));
      status.textContent = `${list.childElementCount.toLocaleString('en')} of ${found.length.toLocaleString('en')} shown`;
      more.hidden = list.childElementCount >= found.length;
    };
    const restart = () => {
      const text = search.value.toLowerCase();
      found = all.filter((flip) => (!kind.value || flip.kind === kind.value) && flip.searched.includes(text));
      list.replaceChildren();
      extend();
    };
    let waiting = 0;
    search.addEventListener('input', () => { clearTimeout(waiting); waiting = setTimeout(restart, 120); });
    kind.addEventListener('change', restart);
    more.addEventListener('click', extend);
    restart();
    const cut = all.length < data.num_won + data.num_lost ? ' The page holds the largest differences; report.json has all.' : '';
    section('Documents that changed', `${count(data.num_won)} won and ${count(data.num_lost)} lost against the best prompt.${cut}`,
      el('div', {className: 'tools'}, search, kind), status, list, more);
  };

  const drawConfusion = () => {
    const targets = Object.keys(data.confusion);
    const labels = [...new Set([...targets, ...Object.values(data.confusion).flatMap(Object.keys)])];
    if (targets.length === 0 || labels.length > 40) return;
    section('Confusion', 'Rows are targets, columns what the tuned arm said (its first seed).', table([['Target'], ...labels.map((label) => [label || '(nothing)', 'number'])],
      targets.map((target) => [target, ...labels.map((label) => String(data.confusion[target][label] ?? '·'))])));
  };

  const drawProvenance = () => {
    const rows = data.provenance.map((fact) => [fact.group, fact.name, fact.value]);
    for (const look of data.looks) rows.push(['look at test', look.time, `${look.arms.join(', ')}${look.changed_since ? ' — changed since an earlier look' : ''}`]);
    const replicates = data.arms.flatMap((arm) => (arm.replicates ?? []).map((r) => [arm.name, r.arm, r.seed === null ? '' : String(r.seed), r.model_hash, r.template_hash, r.precision]));
    section('Provenance', `Task ${data.task}, model ${data.model}. ${data.looks.length} looks at test.`, rows.length ? table([['Group'], ['Name'], ['Value', 'prose']], rows) : null,
      folded('Models and prompts behind each arm', table([['Arm'], ['Record'], ['Seed', 'number'], ['Model'], ['Template'], ['Precision']], replicates)));
  };

  document.getElementById('details').append(...data.details.map((text) => el('p', {textContent: text})));
  main.replaceChildren(...data.cautions.map((text) => el('p', {className: 'caution', textContent: text})));
  Chart.defaults.font.family = getComputedStyle(document.documentElement).fontFamily;
  drawVerdicts();
  data.curves.forEach(drawCurve);
  drawCosts();
  drawTables();
  drawTraining();
  drawFlips();
  drawConfusion();
  drawProvenance();
  const drawAll = () => plots.forEach((draw) => draw());
  drawAll();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll);
  document.documentElement.dataset.ready = 'true';
})();
