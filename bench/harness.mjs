/**
 * Measures contenders side by side: interleaved round by round in one run, so that whatever the machine does to one it does to all.
 *
 * A bench file exports `groups`, an array of
 * {
 *   title,
 *   unit?:      what one operation is ('publish', 'call', …); default 'op'
 *   contenders: [{
 *     name,                     no '/' in it
 *     setUp?():                 state (may be a promise); before warm-up
 *     run?(state, iterations):  does so many operations (may return a promise); its wall time is the measure
 *     measure?(state):          instead of run: returns a cost in milliseconds, or whatever `cost` says (may be a promise)
 *     tearDown?(state):         (may be a promise)
 *     iterations?:              fixed number of operations a round, for what is too slow to calibrate
 *   }],
 *   baseline?:  the contender that all are compared with; default the last
 *   rounds?:    default 15
 *   roundMs?:   how long one round of one contender should take; default 25
 *   cost?:      what `measure` returns, for the table; default 'ms'
 *   targets:    [{ ratio: 'a/b', atLeast | atMost, of?: 'speed' | 'cost', note? }]
 * }
 * A ratio of speed 'a/b' is how many times as fast a is as b; of cost, how many times as much it costs. It is the median of the ratios
 * within each round.
 */
import { performance } from 'node:perf_hooks'

export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Nanoseconds per operation of one round. */
const timed = async (contender, state, iterations) => {
  const start = performance.now()
  const pending = contender.run(state, iterations)
  // Awaiting what is no promise would put a turn of the loop into the measure.
  if (typeof pending?.then === 'function') await pending
  return ((performance.now() - start) * 1e6) / iterations
}

const WARM_UP_MS = 1_500

/** Finds how many operations make a round, warming up on the way. */
const calibrate = async (contender, state, roundMs) => {
  if (contender.measure) {
    await contender.measure(state)
    return 1
  }
  if (contender.iterations) {
    await timed(contender, state, contender.iterations)
    return contender.iterations
  }
  let iterations = 16
  let cost = await timed(contender, state, iterations)
  // The compiler takes its time: what is measured must have been hot for a while.
  for (let spent = 0; spent < WARM_UP_MS; spent += (cost * iterations) / 1e6) {
    iterations = Math.max(1, Math.min(iterations * 2, Math.round((roundMs * 1e6) / cost)))
    cost = await timed(contender, state, iterations)
  }
  return iterations
}

const ratioOf = (samples, ratio, of) => {
  const [a, b] = ratio.split('/')
  for (const name of [a, b]) if (!samples[name]) throw new Error(`the ratio '${ratio}' names '${name}', which is no contender`)
  return median(samples[a].map((cost, round) => (of === 'cost' ? cost / samples[b][round] : samples[b][round] / cost)))
}

/**
 * A different one goes first each round, and each second round goes backwards: each follows each neighbour as often, and none is always the
 * one after a rest.
 */
const orderOf = (entries, round) => {
  const first = (round >> 1) % entries.length
  const rotated = [...entries.slice(first), ...entries.slice(0, first)]
  return round % 2 === 0 ? rotated : rotated.reverse()
}

/** Runs one group and returns its figures. `rounds` and `roundMs` override what the group says. */
export const runGroup = async (group, { rounds: wanted, roundMs: wantedMs } = {}) => {
  const rounds = wanted ?? group.rounds ?? 15
  const roundMs = wantedMs ?? group.roundMs ?? 25
  const entries = []
  try {
    for (const contender of group.contenders) {
      const state = await contender.setUp?.()
      entries.push({ contender, state, iterations: 1 })
    }
    for (const entry of entries) entry.iterations = await calibrate(entry.contender, entry.state, roundMs)
    const samples = Object.fromEntries(entries.map(({ contender }) => [contender.name, []]))
    for (let round = 0; round < rounds; round++) {
      for (const { contender, state, iterations } of orderOf(entries, round)) {
        globalThis.gc?.({ type: 'minor' })
        // A lap that does not count brings back into the cache what the others have driven out.
        if (contender.run && !contender.iterations) await timed(contender, state, Math.ceil(iterations / 4))
        const cost = contender.measure ? await contender.measure(state) : await timed(contender, state, iterations)
        samples[contender.name].push(cost)
      }
    }
    const baseline = group.baseline ?? group.contenders.at(-1).name
    const results = entries.map(({ contender: { name, measure }, iterations }) => ({
      name,
      iterations,
      ...(measure ? { cost: median(samples[name]) } : { nsPerOp: median(samples[name]), perSecond: 1e9 / median(samples[name]) }),
      ratio: ratioOf(samples, `${name}/${baseline}`, measure ? 'cost' : 'speed'),
    }))
    const targets = (group.targets ?? []).map((target) => {
      const value = ratioOf(samples, target.ratio, target.of ?? 'speed')
      const pass = (target.atLeast === undefined || value >= target.atLeast) && (target.atMost === undefined || value <= target.atMost)
      return { ...target, value, pass }
    })
    return { title: group.title, unit: group.unit ?? 'op', cost: group.cost ?? 'ms', rounds, baseline, results, targets }
  } finally {
    for (const { contender, state } of entries) await contender.tearDown?.(state)
  }
}

const pad = (rows) => {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  return rows.map((row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join('  '),
  )
}

const amount = (value) => (value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3))

/** The figures of a group as text. */
export const table = ({ title, unit, cost, baseline, results, targets }) => {
  const rows = results.map((result) =>
    result.nsPerOp === undefined
      ? [result.name, `${amount(result.cost)} ${cost}`, '', `${result.ratio.toFixed(2)} x`]
      : [result.name, `${amount(result.nsPerOp)} ns/${unit}`, `${amount(result.perSecond)}/s`, `${result.ratio.toFixed(2)} x`],
  )
  const lines = [`\n${title}  (× against ${baseline})`, ...pad(rows).map((line) => `  ${line}`)]
  if (targets.length > 0) {
    const judged = targets.map(({ ratio, of, atLeast, atMost, value, pass, note }) => [
      `${pass ? 'pass' : 'MISS'}  ${of === 'cost' ? 'cost of ' : ''}${ratio}${note ? ` (${note})` : ''}`,
      value.toFixed(2),
      atLeast === undefined ? `<= ${atMost}` : `>= ${atLeast}`,
    ])
    lines.push(...pad(judged).map((line) => `  ${line}`))
  }
  return lines.join('\n')
}
