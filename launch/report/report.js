// The script of a study's report.
'use strict';
(() => {
  const {data, main, plots, number, el, count, range, seconds, section, table, folded, colour, plot, finite, show} = kit;

  const score = (value) => !Number.isFinite(number(value)) ? '–' : data.fraction ? (100 * value).toFixed(1) : Number(value).toPrecision(4);
  const signed = (value) => (number(value) > 0 ? '+' : '') + score(value).replace('-', '−');
  const p = (value) => value === null ? '' : value < 1e-4 ? '< 0.0001' : Number(value).toPrecision(2);
  const unit = data.fraction ? ', %' : '';
  const scale = data.fraction ? 100 : 1;
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
      table([['Arm'], ['Verdict'], [data.metric_shown + unit, 'number'], ['Interval', 'number'], ['Difference', 'number'], ['Interval', 'number'], ['p', 'number']], rows),
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
      plot(`${title}; the table below has its figures`, 'training examples', data.metric_shown + unit, true, false, series),
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
    for (const look of data.looks) rows.push(['look at test', look.time, `${look.arms.join(', ')}${look.changed.length ? `; changed since an earlier look: ${look.changed.join(', ')}` : ''}`]);
    const replicates = data.arms.flatMap((arm) => (arm.replicates ?? []).map((r) => [arm.name, r.arm, r.seed === null ? '' : String(r.seed), r.model_hash, r.template_hash, r.precision]));
    section('Provenance', `Task ${data.task}, model ${data.model}. ${data.looks.length} look${data.looks.length === 1 ? '' : 's'} at test.`, rows.length ? table([['Group'], ['Name'], ['Value', 'prose']], rows) : null,
      folded('Models and prompts behind each arm', table([['Arm'], ['Record'], ['Seed', 'number'], ['Model'], ['Template'], ['Precision']], replicates)));
  };

  document.getElementById('details').append(...data.details.map((text) => el('p', {textContent: text})));
  main.replaceChildren(...data.cautions.map((text) => el('p', {className: 'caution', textContent: text})));
  drawVerdicts();
  data.curves.forEach(drawCurve);
  drawCosts();
  drawTables();
  drawTraining();
  drawFlips();
  drawConfusion();
  drawProvenance();
  show();
})();
