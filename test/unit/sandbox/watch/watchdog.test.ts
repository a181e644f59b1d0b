/** How often the watchdog looks at what rests. Its clock and what the process has computed are set here. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Watched, watchdog } from '#src/sandbox/watch/watchdog.js'

let computed = 0

const place = (resting = true, patience = 300): Watched & { looks: boolean[] } => {
  const looks: boolean[] = []
  const place = { resting, patience, used: 0, silent: false, memories: 0, keptMemories: 0, crowds: () => {} }
  return { ...place, looks, look: (_at, _memory, _pages, still) => void looks.push(still) }
}

/** Lets `rounds` of the watchdog pass, `pause` ms apart, and the process compute so many ms between two of them. */
const pass = (rounds: number, pause: number, ms: number): void => {
  for (let n = 0; n < rounds; n++) {
    computed += ms
    vi.advanceTimersByTime(pause)
  }
}

beforeEach(() => {
  computed = 0
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  vi.spyOn(process, 'cpuUsage').mockImplementation(() => ({ user: computed * 1_000, system: 0 }))
})

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

test('looks at all that rest thirteen times a second while somebody computes, and at each by its patience while nobody does', () => {
  const patient = place()
  const impatient = place(true, 100)
  const places = [patient, impatient]
  const undos = places.map((each) => watchdog.watch(() => each))
  pass(1, 75, 50)
  for (const { looks } of places) looks.length = 0

  pass(12, 75, 50)
  for (const { looks } of places) expect(looks).toEqual(Array(12).fill(false))
  for (const { looks } of places) looks.length = 0

  pass(12, 75, 0.5)
  expect(impatient.looks).toEqual(Array(12).fill(true))
  expect(patient.looks.length).toBeGreaterThanOrEqual(3)
  // A round in which the memory of the process was found changed looks at all.
  expect(patient.looks.length).toBeLessThan(12)
  for (const undo of undos) undo()
})

test('looks at what does something forty times a second, whatever the process computes', () => {
  const busy = place(false)
  const idle = place()
  const undos = [busy, idle].map((each) => watchdog.watch(() => each))
  pass(1, 75, 0)
  for (const { looks } of [busy, idle]) looks.length = 0
  pass(30, 25, 0)
  expect(busy.looks).toHaveLength(30)
  expect(idle.looks.length).toBeGreaterThanOrEqual(10)
  for (const undo of undos) undo()
})

test('a place that cannot be looked at is told of once, and keeps nobody from being looked at', () => {
  const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  const failing: Watched = {
    ...place(false),
    look: () => {
      throw new Error('EMFILE: too many open files')
    },
  }
  const sound = place(false)
  const undos = [failing, sound].map((each) => watchdog.watch(() => each))
  pass(1, 75, 0)
  sound.looks.length = 0
  pass(4, 25, 0)
  expect(sound.looks).toHaveLength(4)
  expect(warned).toHaveBeenCalledExactlyOnceWith(expect.stringContaining('EMFILE'), { code: 'PLUGBAY_WATCHDOG' })
  for (const undo of undos) undo()
})
