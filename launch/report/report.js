// The script of a study's report.
'use strict';
(() => {
  const {data, main, plots, number, el, count, range, seconds, section, table, folded, colour, plot, finite, show} = kit;

  const written = (value, fraction) => !Number.isFinite(number(value)) ? '–' : (fraction ? (100 * value).toFixed(1) : Number(value).toPrecision(4)).replace('-', '−');
  const score = (value) => written(value, data.fraction);
  const signed = (value) => (number(value) > 0 ? '+' : '') + score(value);
  const p = (value) => value === null ? '' : value < 1e-4 ? '< 0.0001' : Number(value).toPrecision(2);
  const unit = data.fraction ? ', %' : '';
  const scale = data.fraction ? 100 : 1;
  const rounded = (value) => Number.isFinite(number(value)) ? number(value).toLocaleString('en', {maximumSignificantDigits: 3}) : 'never';
  const bandOf = (points, interval, band) => [
    {points: finite(points.map((point) => ({x: point.x, y: scale * number(interval(point).low)}))), edge: true, band},
    {points: finite(points.map((point) => ({x: point.x, y: scale * number(interval(point).high)}))), edge: true, band, fill: '-1'}];

  const drawCalibration = () => {
    const arms = data.arms.filter((arm) => arm.calibration);
    if (arms.length === 0) return [];
    return [folded('Calibration', table([['Arm'], ['Expected calibration error', 'number']],
      arms.map((arm) => [arm.name, Number.isFinite(number(arm.calibration.expected_error)) ? arm.calibration.expected_error.toFixed(3) : '–'])))];
  };

  // What would have been seen, and with what the difference would be settled; the latter only where the verdict is open.
  const effect = (c) => score(c.minimum_detectable_effect);
  const settle = (c) => c.verdict !== 'cannot tell' ? '' : c.documents_to_settle !== null ? `${rounded(c.documents_to_settle)} documents`
    : c.replicates_to_settle !== null ? `${rounded(c.replicates_to_settle)} seeds` : 'no number';

  const drawMethods = () => folded('How each verdict was reached', el('p', {className: 'note', textContent: 'Documents on which the scores differ; won, lost and ' +
    'McNemar’s exact test are of single arms: several seeds have no pairs of their own. p alone is before Holm’s correction. “All together” are intervals that hold for all arms at once.'}),
    table([['Arm'], ['Differ', 'number'], ['Won', 'number'], ['Lost', 'number'], ['McNemar’s p', 'number'], ['p alone', 'number'], ['Interval by'],
      ['All together', 'number']], data.arms.filter((arm) => arm.against_baseline).map(({name, against_baseline: c}) => [name, count(c.num_differing),
      c.counts ? count(c.counts.won) : '–', c.counts ? count(c.counts.lost) : '–', c.mcnemar ? p(c.mcnemar.exact) : '–', p(c.p_value), c.method,
      range(c.simultaneous, signed)])));

  const drawVerdicts = () => {
    const rows = data.arms.map((arm) => {
      const c = arm.against_baseline;
      const row = [arm.name, c ? c.verdict : 'to beat', [score(arm.score), range(arm.interval, score)],
        c ? [signed(c.difference), range(c.interval, signed)] : '', c ? p(c.adjusted_p_value) : '', c ? effect(c) : '', c ? settle(c) : ''];
      row.kind = arm.candidate ? 'chosen' : '';
      return row;
    });
    section('Verdict', `Every arm on the sealed test set against the best prompt, with intervals at ${count(100 * data.confidence)} %. Bold: the tuned arm ` +
      'that dev chose, the one comparison that was planned. The p-values of all others are corrected together (Holm). “Could have shown” is the least true difference that ' +
      'these documents and seeds would mostly have seen; “would settle it” is with how many a true difference as large as this one would be seen.',
      table([['Arm'], ['Verdict'], [data.metric_shown + unit, 'number'], ['Difference', 'number'], ['p', 'number'], ['Could have shown', 'number'],
        ['Would settle it', 'number']], rows),
      drawMethods(), ...drawCalibration());
  };

  const drawRegression = () => {
    const c = data.regression;
    if (!c) return;
    const own = (value) => written(value, c.fraction);
    const plus = (value) => (number(value) > 0 ? '+' : '') + own(value);
    section(`Regression set: ${c.name}`, `What tuning lost or won elsewhere, by ${c.metric_shown}${c.fraction ? ' in %' : ''}: the tuned arm that dev chose against the base model.`,
      table([['Verdict'], ['Tuned', 'number'], ['Base model', 'number'], ['Difference', 'number'], ['Could have shown', 'number'],
        ['Would settle it', 'number']], [[c.verdict, own(c.arm_score), own(c.baseline_score), [plus(c.difference), range(c.interval, plus)],
        own(c.minimum_detectable_effect), settle(c)]]));
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
      el('p', {textContent: curve.examples_to_win.text}), plot(`${title}; the table below has its figures`, 'training examples', data.metric_shown + unit, true, false, series),
      table([['Examples'], ['Verdict'], ['Score' + unit, 'number'], ['Interval', 'number'], ['Against the prompt', 'number'], ['p', 'number']], rows));
  };

  const drawArmCosts = () => {
    const time = (arm) => data.costs && arm.baseline ? timeOf1000(data.costs.prompt.query) : data.costs && arm.candidate ? timeOf1000(data.costs.tuned.query) : 'not timed';
    const note = data.costs ? 'On test. Two arms were timed, the prompt to beat and the tuned arm that dev chose: of the others the tokens tell.' : 'On test. No query was timed.';
    return folded('Prompt tokens of every arm', el('p', {className: 'note', textContent: note}), table([['Arm'], ['Prompt tokens a query', 'number'], ['1,000 queries', 'number']],
      data.arms.map((arm) => Object.assign([arm.name, count(arm.prompt_tokens), time(arm)], {kind: arm.candidate ? 'chosen' : ''}))));
  };

  const money = (value) => value === null ? '' : `${Number(value).toPrecision(3)} ${data.currency}`;
  const finiteRange = (interval, write) => interval && Number.isFinite(number(interval.high)) ? range(interval, write) : '';
  const timeOf1000 = (query) => [seconds(1000 * query.device_seconds), finiteRange(query.device_seconds_interval, (s) => seconds(1000 * s))];

  // Rows of both sides; those in which neither has anything to say are left out.
  const costRows = ({prompt, tuned}) => {
    const of = (title, write) => [title, write(prompt), write(tuned)];
    const cached = (write) => (side) => side.cached_query ? write(side.cached_query) : '';
    const energy = (wh) => wh === null ? '' : `${Number(wh).toPrecision(3)} Wh`;
    const price = (query) => query.price_per_1000 === null ? '' : [money(query.price_per_1000), finiteRange(query.price_per_1000_interval, (price) => price.toPrecision(3))];
    const rows = [of('Once: device time', (side) => seconds(side.one_time.device_seconds)), of('Once: price', (side) => money(side.one_time.price)),
      of('Once: energy', (side) => energy(side.one_time.watt_hours)), of('1,000 queries: device time', (side) => timeOf1000(side.query)),
      of('1,000 queries: price', (side) => price(side.query)), of('1,000 queries: energy', (side) => energy(side.query.watt_hours_per_1000)),
      of('Behind a prefix cache: device time', cached(timeOf1000)), of('Behind a prefix cache: price', cached(price)),
      of('Behind a prefix cache: energy', cached((query) => energy(query.watt_hours_per_1000))), of('Prompt tokens a query', (side) => count(side.prompt_tokens)),
      of('Of these the same in all queries', (side) => count(side.shared_prefix_tokens)),
      of('Generated tokens a query', (side) => side.generated_tokens > 0 ? count(side.generated_tokens) : '')];
    return rows.filter((row) => row[1] !== '' || row[2] !== '');
  };

  const drawCosts = () => {
    const costs = data.costs;
    if (!costs) {
      section('Costs', 'No query was timed: what one costs is not known.', drawArmCosts());
      return;
    }
    const line = (side) => finite(costs.curve.map((point) => ({x: number(point.queries), y: number(point[side]) / 3600})));
    const coverage = (value) => value === null ? 'not measured' : `${(100 * value).toPrecision(3)} %`;
    const back = (title, found) => [title, rounded(found.queries), range(found.interval, rounded), coverage(found.measured_coverage),
      found.months === null ? '–' : rounded(found.months)];
    const ways = [back('The whole prompt', costs.pay_back), ...(costs.cached_pay_back ? [back('Behind a prefix cache', costs.cached_pay_back)] : [])];
    section('Costs', 'Device time and prices measured in this run: what was spent once, and what every query adds.',
      plot('Total cost against queries; the table below has its figures', 'queries', 'device-hours', true, true,
        () => [{label: 'best prompt', points: line('prompt'), colour: colour('--other')}, {label: 'tuned', points: line('tuned'), colour: colour('--accent')}]),
      table([[''], ['Best prompt', 'number'], ['Tuned', 'number']], costRows(costs)),
      el('h3', {textContent: 'When training has paid back'}),
      table([['Every query is served'], ['Paid back after queries', 'number'], ['Interval', 'number'], ['Held in simulations', 'number'], ['Months', 'number']], ways),
      drawArmCosts(),
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
    if (data.confusion_absent) {
      section('Confusion', data.confusion_absent);
      return;
    }
    const sides = [data.confusion, data.confusion_baseline];
    const targets = Object.keys(data.confusion);
    if (targets.length === 0) return;
    // One set of columns, so that the sides can be compared.
    const labels = [...new Set([...targets, ...sides.flatMap((side) => Object.values(side).flatMap(Object.keys))])];
    const names = [`${data.arms.find((arm) => arm.candidate).name} (its first seed)`, data.arms.find((arm) => arm.baseline).name];
    const choice = el('select', {ariaLabel: 'whose answers', id: 'confusion'}, ...names.map((name, i) => el('option', {value: i, textContent: name})));
    const place = el('div');
    const draw = () => place.replaceChildren(table([['Target'], ...labels.map((label) => [label || '(nothing)', 'number'])],
      targets.map((target) => [target, ...labels.map((label) => String(sides[choice.value][target]?.[label] ?? '·'))]), `What ${names[choice.value]} said`));
    choice.addEventListener('change', draw);
    draw();
    section('Confusion', 'Rows are targets, columns what was said to them.', el('div', {className: 'tools'}, choice), place);
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
  drawRegression();
  drawCosts();
  drawTables();
  drawTraining();
  drawFlips();
  drawConfusion();
  drawProvenance();
  show();
})();
