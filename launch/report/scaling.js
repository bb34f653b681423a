// The script of a scaling report.
'use strict';
(() => {
  const {data, main, number, el, count, range, seconds, section, table, folded, colour, plot, finite, show} = kit;

  const percent = (value) => Number.isFinite(number(value ?? null)) ? (100 * value).toFixed(1) : '–';
  const error = (value) => Number.isFinite(number(value ?? null)) ? `${value > 0 ? '+' : ''}${(100 * value).toFixed(1)}`.replace('-', '−') : '–';
  const rate = (value) => Number.isFinite(number(value ?? null)) ? value.toLocaleString('en', {maximumFractionDigits: 1}) : '–';
  const bytes = (value) => value >= 2 ** 20 ? `${count(value / 2 ** 20)} MiB` : `${count(value / 1024)} KiB`;
  const rows = data.rows.filter((row) => row.num_repeats > 0);
  const inks = () => ['--accent', '--other', '--caution', '--ink', '--soft'].map(colour);
  const dashes = [[], [6, 4], [2, 3]];

  // Measured cells as curves over ranks: one for each model, kind, back end, precision and network; one rank is the start of each.
  const curves = () => {
    const made = new Map();
    const same = (a, b) => a.model === b.model && a.scaling === b.scaling && a.precision === b.precision;
    for (const row of rows.filter((r) => r.world_size > 1)) {
      const name = [row.model, row.scaling, row.backend_label, row.precision, row.network].join(', ');
      if (!made.has(name)) made.set(name, {name, rows: rows.filter((r) => r.world_size === 1 && same(r, row))});
      made.get(name).rows.push(row);
    }
    return [...made.values()];
  };

  const drawSpeedUp = () => {
    if (curves().length === 0) return;
    const lines = (value) => () => curves().map((curve, i) => ({label: curve.name, dots: true, colour: inks()[i % 5], dash: dashes[Math.floor(i / 5) % 3],
      points: finite(curve.rows.map((row) => ({x: row.world_size, y: value(row)})))}));
    const most = Math.max(...rows.map((row) => row.world_size));
    section('Speed-up and efficiency', `Measured here. Speed-up is tokens a second against one rank; efficiency is a rank's speed against one rank alone. ` +
      `This machine has ${data.cores} CPUs a node: beyond as many ranks they take turns.`,
      plot('Speed-up against ranks; the table below has its figures', 'ranks', 'speed-up', true, true,
        () => [{label: 'one for one', colour: colour('--line'), points: [{x: 1, y: 1}, {x: most, y: most}]}, ...lines((row) => row.speed_up)()]),
      plot('Efficiency against ranks; the table below has its figures', 'ranks', 'efficiency, %', true, false, lines((row) => 100 * row.efficiency)),
      table([['Cell'], ['Runs', 'number'], ['Tokens/s', 'number'], ['Slowest to fastest', 'number'], ['Speed-up', 'number'], ['Efficiency, %', 'number'],
        [`${count(100 * data.confidence)} % interval`, 'number'], ['MFU, %', 'number']],
        rows.map((row) => [row.label, count(row.num_repeats), rate(row.tokens_per_second),
          `${rate(row.tokens_per_second_slowest)} to ${rate(row.tokens_per_second_fastest)}`, Number(row.speed_up).toFixed(2), percent(row.efficiency),
          range(row.efficiency_interval, percent), percent(row.mfu)])));
  };

  const drawTimes = () => {
    if (rows.length === 0) return;
    const parts = [['compute', 'compute_seconds'], ['exposed communication', 'exposed_communication_seconds'], ['update', 'update_seconds'],
      ['input', 'input_seconds'], ['skew', 'skew_seconds']];
    const names = rows.map((row) => row.label);
    section('Where a step goes', 'Medians of repeats. Compute, update and input are the slowest rank\'s; exposed communication is what collectives take with ' +
      'no rank late, skew what ranks wait for a later one. A checkpoint is the time of one save.',
      plot('Share of a step by part; the table below has its figures', 'cell, in the order of the table', 'share of the step, %', false, false,
        () => parts.map(([label, key], i) => ({label, dots: true, colour: inks()[i], points: rows.map((row, x) => ({x: x + 1, y: 100 * row[key] / row.step_seconds}))}))),
      table([['Cell'], ['Step', 'number'], ...parts.map(([label]) => [label, 'number']), ['checkpoint', 'number']],
        rows.map((row, i) => [`${i + 1}. ${names[i]}`, seconds(row.step_seconds), ...parts.map(([, key]) => seconds(row[key])), seconds(row.checkpoint_seconds)])));
  };

  const drawCosts = () => {
    if (rows.length === 0) return;
    const scores = (learned) => learned === null || learned === undefined ? '' : Object.entries(learned.scores).map(([name, value]) => `${name} ${value.toFixed(3)}`).join('; ');
    section('Cost, and what is learned from the same tokens', 'Scaling that costs quality shows here: trainings over the same data with each cell\'s batch.',
      table([['Cell'], ['Rank-hours for 1 M tokens', 'number'], ['Price', 'number'], ['All-reduce, bus GB/s', 'number'], ['Steps', 'number'], ['Validation loss', 'number'], ['Scores', 'prose']],
        rows.map((row) => [row.label, row.rank_hours_per_million_tokens.toPrecision(3),
          row.price_per_million_tokens === null ? '–' : `${row.price_per_million_tokens.toPrecision(3)} ${data.currency}`,
          row.bus_bytes_per_second === null ? '–' : (row.bus_bytes_per_second / 1e9).toPrecision(3),
          row.learned ? count(row.learned.steps) : '–', row.learned && row.learned.validation_loss !== null ? row.learned.validation_loss.toFixed(4) : '–', scores(row.learned)])));
  };

  const drawFit = () => {
    const fit = data.fit;
    if (!fit) return;
    const ends = fit.cells.map((cell) => cell.measured_seconds);
    const predicted = (cell) => cell.measured_seconds * (1 + cell.error_without_cell);
    const points = (crowded) => finite(fit.cells.filter((cell) => cell.oversubscribed === crowded && cell.error_without_cell !== null)
      .map((cell) => ({x: cell.measured_seconds, y: predicted(cell)})).sort((a, b) => a.x - b.x));
    section('Prediction against measurement', 'A step is crowd × (a · FLOPs + c) + g · Σ T(S), fitted by non-negative least squares of relative errors. ' +
      'Each dot is a cell that its fit has not seen.',
      plot('Predicted against measured step time; the table below has its figures', 'measured, s', 'predicted, s', true, true, () => [
        {label: 'equal', colour: colour('--line'), points: [Math.min(...ends), Math.max(...ends)].map((x) => ({x, y: x}))},
        {label: 'unseen cells', dots: true, colour: 'transparent', band: colour('--accent'), points: points(false)},
        {label: 'with more ranks than CPUs', dots: true, colour: 'transparent', band: colour('--other'), points: points(true)}]),
      table([['Left out'], ['Median error, %', 'number'], ['Largest, %', 'number'], ['More ranks than CPUs: median', 'number'], ['Largest', 'number']],
        [['one cell', fit.leave_one_cell_out], ['one number of ranks', fit.leave_one_world_size_out]].map(([name, e]) => [name, percent(e.median_error),
          percent(e.largest_error), percent(e.median_error_oversubscribed), percent(e.largest_error_oversubscribed)])),
      folded('Every cell', table([['Cell'], ['Measured', 'number'], ['Fitted', 'number'], ['Unseen cell, %', 'number'], ['Unseen ranks, %', 'number']],
        fit.cells.map((cell) => [cell.label, seconds(cell.measured_seconds), seconds(cell.fitted_seconds), error(cell.error_without_cell), error(cell.error_without_world_size)]))),
      folded('Constants', table([['What'], ['Value', 'prose']], [
        ['neighbours on a full node', `${percent(fit.contention)} % slower`], ['more ranks than CPUs', `${percent(fit.oversubscription)} % beyond taking turns`],
        ...Object.entries(fit.compute).map(([name, law]) => [name, `${law.seconds_per_flop > 0 ? (1e-9 / law.seconds_per_flop).toPrecision(3) : '–'} GFLOP/s a rank alone, ${seconds(law.seconds_per_step)} a step`]),
        ...Object.entries(fit.exchange).map(([name, law]) => [name, (law.links_told_apart ? '' : 'a node\'s link and the network cannot be told apart by these numbers of ranks: ') + [['in a node', law.alpha_seconds, law.beta_seconds_per_byte], ['between nodes', law.network_alpha_seconds, law.network_beta_seconds_per_byte]].filter(([, , beta]) => beta > 0)
          .map(([where, alpha, beta]) => `${where} α ${seconds(alpha)}, 1/β ${(1e-9 / beta).toPrecision(3)} GB/s; `).join('') + `in a step ${law.stretch_in_a_step.toPrecision(3)} times that; waiting for later ranks ${percent(law.skew_of_busy)} % of busy and ${percent(law.skew_of_exposed)} % of exposed seconds`])])));
  };

  const drawForecast = (forecast) => {
    const points = forecast.points.map((point) => ({...point, x: point.world_size}));
    const edge = (end) => finite(points.map((point) => ({x: point.x, y: 100 * number(point.efficiency_interval?.[end] ?? null)})));
    const best = forecast.best.map((b) => [count(b.world_size), bytes(b.bucket_bytes), bytes(b.last_bucket_bytes), count(b.accumulation), b.shard ? 'yes' : 'no', percent(b.efficiency),
      `${(b.memory_bytes / 1e9).toPrecision(3)} GB${b.fits ? '' : ', too much'}`]);
    // The limit of what is known is not the limit of what pays.
    const upTo = (limit) => count(limit) + (points.length === 0 || limit < points[points.length - 1].x ? ''
      : forecast.not_known.length > 0 ? ', not known beyond' : ', the most that are forecast');
    section(`Predicted: ${forecast.workload} on ${forecast.cluster_title || forecast.cluster}`, `Nothing of this is measured. Computing: ${forecast.compute}; exchange: ${forecast.exchange}; ` +
      `${count(forecast.tokens_per_rank)} tokens a rank and step. Ranks pay up to ${upTo(forecast.weak_limit)} (each at least ${percent(data.paying_efficiency)} % of one alone); ` +
      `with the global batch fixed, up to ${upTo(forecast.strong_limit)} (twice the ranks at least ${data.paying_speed_up} times as fast).`,
      plot(`Predicted efficiency of ${forecast.workload}; the table below has its figures`, 'ranks', 'efficiency, %', true, false, () => [
        {points: edge('low'), edge: true, band: colour('--band')}, {points: edge('high'), edge: true, band: colour('--band'), fill: '-1'},
        {label: 'predicted', dots: true, colour: colour('--accent'), dash: [3, 5], points: finite(points.map((point) => ({x: point.x, y: 100 * point.efficiency})))}]),
      table([['Ranks', 'number'], ['Efficiency, %', 'number'], ['Interval', 'number'], ['Tokens/s a rank', 'number'], ['Exposed', 'number'], ['Fixed batch, speed-up', 'number']],
        points.map((point) => [count(point.world_size), percent(point.efficiency), range(point.efficiency_interval, percent), rate(point.tokens_per_second_per_rank),
          seconds(point.exposed_communication_seconds), point.strong_speed_up === null ? '–' : point.strong_speed_up.toFixed(1)])),
      best.length ? folded('Best settings', table([['Ranks', 'number'], ['Buckets', 'number'], ['Last one', 'number'], ['Micro-batches', 'number'], ['Sharded'], ['Efficiency, %', 'number'], ['Memory of a rank', 'number']], best)) : null);
  };

  const drawPublished = () => {
    if (data.published.length === 0) return;
    section('Predicted beside what others published', 'The published figures were not used to fit anything; MFU ranges of the clusters are stated assumptions.', table(
      [['Workload'], ['Ranks', 'number'], ['Predicted tokens/s a rank', 'number'], ['Interval', 'number'], ['Published', 'number'], ['Predicted efficiency, %', 'number'],
        ['Interval', 'number'], ['Published', 'number'], ['Source', 'prose']],
      data.published.map((p) => [`${p.workload}, ${p.cluster}`, count(p.world_size), rate(p.tokens_per_second_per_rank), range(p.tokens_per_second_per_rank_interval, rate),
        rate(p.published_tokens_per_second_per_rank), percent(p.efficiency), range(p.efficiency_interval, percent), percent(p.published_efficiency), p.source])));
  };

  const drawRest = () => {
    const failed = Object.entries(data.failures);
    if (failed.length) section('Failed runs', 'They are tried again when the command is given again.', table([['Run'], ['Why', 'prose']], failed));
    section('Provenance', '', table([['Group'], ['Name'], ['Value', 'prose']], data.provenance.map((fact) => [fact.group, fact.name, fact.value])));
  };

  document.getElementById('details').append(...data.details.map((text) => el('p', {textContent: text})));
  main.replaceChildren();
  drawSpeedUp();
  drawTimes();
  drawCosts();
  drawFit();
  data.forecasts.forEach(drawForecast);
  drawPublished();
  drawRest();
  show();
})();
