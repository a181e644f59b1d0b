/** The bus against mitt and EventEmitter2: matching and dispatch, the whole publish, change, and very many topics. */
import EventEmitter2 from 'eventemitter2'
import mitt from 'mitt'
import { EventBus } from '../dist/bus/event-bus.js'

const TOPICS = Array.from({ length: 1_000 }, (_, i) => `site${i}.sensor.reading`)
const MANY_TOPICS = Array.from({ length: 100_000 }, (_, i) => `site${i % 1_000}.sensor${i}.reading`)

/** Three patterns for each topic, and fillers that match none, 10,000 in all. */
const MANY_PATTERNS = [
  ...TOPICS.flatMap((_, i) => [`site${i}.*.reading`, `site${i}.**`, `*.site${i}.nothing`]),
  ...TOPICS.map((topic) => topic),
  ...Array.from({ length: 3_000 }, (_, i) => `other${i}.*.reading`),
  ...Array.from({ length: 3_000 }, (_, i) => `another${i}.**`),
]
/** Three patterns for all topics, and seven that match none. */
const FEW_PATTERNS = [
  '*.sensor.reading',
  'other.*',
  '*.*.reading',
  'other.**',
  '**.reading',
  ...Array.from({ length: 5 }, (_, i) => `**.nothing${i}`),
]

let heard = 0
/** The same handler for every contender, as cheap as can be: what is measured is the way to it. */
const count = () => {
  heard++
}

/** Fails the bench if a contender did not really deliver three times an event: what is fast must also be right. */
const checked = (contender) => ({
  ...contender,
  setUp: () => {
    const state = contender.setUp()
    heard = 0
    contender.run(state, 1_000)
    if (heard !== 3_000) throw new Error(`${contender.name} delivered ${heard} of 3000`)
    return state
  },
})

const eventsFor = (bus, topics) => topics.map((topic, i) => bus.event(topic, { i }))

const aBus = (patterns, options = {}) => {
  const bus = new EventBus({ source: 'bench', ...options })
  for (const pattern of patterns) bus.subscribe(pattern, count)
  return bus
}

const dispatching = (name, patterns, topics = TOPICS, options = {}) =>
  checked({
    name,
    setUp: () => {
      const bus = aBus(patterns, options)
      const events = eventsFor(bus, topics)
      // Steady state is the question, not the first time each topic is seen.
      for (const event of events) bus.dispatch(event)
      return { bus, events, next: 0 }
    },
    run: (state, iterations) => {
      const { bus, events } = state
      let { next } = state
      for (let i = 0; i < iterations; i++) {
        bus.dispatch(events[next])
        if (++next === events.length) next = 0
      }
      state.next = next
    },
  })

/** One bus for all that is compared on it: where two of them lie in memory differs more than what is measured. */
let common
const theOneBus = () => {
  if (common === undefined) {
    const bus = aBus(MANY_PATTERNS)
    common = { bus, events: eventsFor(bus, TOPICS) }
  }
  return { ...common, next: 0 }
}

/** As dispatching, with one subscription that comes or goes every 1,000 events; without a pattern, none does. */
const disturbed = (name, pattern) =>
  checked({
    name,
    setUp: theOneBus,
    run: (state, iterations) => {
      const { bus, events } = state
      let extra
      let { next } = state
      for (let i = 0; i < iterations; i++) {
        bus.dispatch(events[next])
        if (++next < events.length) continue
        next = 0
        if (pattern === undefined) continue
        if (extra === undefined) extra = bus.subscribe(pattern, () => {})
        else {
          extra.unsubscribe()
          extra = undefined
        }
      }
      extra?.unsubscribe()
      state.next = next
    },
  })

const publishing = (name, patterns) =>
  checked({
    name,
    setUp: () => ({ bus: aBus(patterns), next: 0, data: TOPICS.map((_, i) => ({ i })) }),
    run: (state, iterations) => {
      const { bus, data } = state
      let { next } = state
      for (let i = 0; i < iterations; i++) {
        bus.publish(TOPICS[next], data[next])
        if (++next === TOPICS.length) next = 0
      }
      state.next = next
    },
  })

const viaMitt = (topics = TOPICS) =>
  checked({
    name: 'mitt',
    setUp: () => {
      const emitter = mitt()
      for (const topic of topics) for (let k = 0; k < 3; k++) emitter.on(topic, count)
      return { emitter, events: eventsFor(new EventBus({ source: 'bench' }), topics), next: 0 }
    },
    run: (state, iterations) => {
      const { emitter, events } = state
      let { next } = state
      for (let i = 0; i < iterations; i++) {
        const event = events[next]
        emitter.emit(event.type, event)
        if (++next === events.length) next = 0
      }
      state.next = next
    },
  })

const viaEventEmitter2 = () =>
  checked({
    name: 'eventemitter2',
    setUp: () => {
      const emitter = new EventEmitter2({ wildcard: true, maxListeners: 0 })
      for (const pattern of MANY_PATTERNS) emitter.on(pattern, count)
      return { emitter, events: eventsFor(new EventBus({ source: 'bench' }), TOPICS), next: 0 }
    },
    run: (state, iterations) => {
      const { emitter, events } = state
      let { next } = state
      for (let i = 0; i < iterations; i++) {
        const event = events[next]
        emitter.emit(event.type, event)
        if (++next === events.length) next = 0
      }
      state.next = next
    },
  })

/** Short rounds, and many: whatever else the machine does then falls into few of them. */
const ROUNDS = { rounds: 101, roundMs: 4 }

export const groups = [
  {
    title: 'dispatch of a ready event: 3 of 10,000 patterns, 1,000 topics',
    unit: 'event',
    ...ROUNDS,
    baseline: 'mitt',
    contenders: [dispatching('bus', MANY_PATTERNS), dispatching('bus-10', FEW_PATTERNS), viaEventEmitter2(), viaMitt()],
    targets: [
      { ratio: 'bus/mitt', atLeast: 1.5 },
      { ratio: 'bus/eventemitter2', atLeast: 7 },
      { ratio: 'bus/bus-10', atLeast: 0.9, note: '10,000 patterns against 10' },
    ],
  },
  {
    title: 'dispatch with one change of a wildcard per 1,000 events',
    unit: 'event',
    ...ROUNDS,
    baseline: 'undisturbed',
    contenders: [
      disturbed('narrow', 'site7.*.*'),
      disturbed('none', '*.sensor7.reading'),
      disturbed('every', '*.sensor'),
      disturbed('all', '**'),
      disturbed('undisturbed'),
    ],
    targets: [
      { ratio: 'narrow/undisturbed', atLeast: 0.9, note: 'matches one topic' },
      { ratio: 'none/undisturbed', atLeast: 0.9, note: 'matches no topic' },
    ],
  },
  {
    title: 'dispatch over 100,000 topics',
    unit: 'event',
    ...ROUNDS,
    baseline: 'mitt',
    contenders: [
      dispatching('bus', [...FEW_PATTERNS.slice(1), '*.*.*'], MANY_TOPICS),
      dispatching('without-memory', [...FEW_PATTERNS.slice(1), '*.*.*'], MANY_TOPICS, { remember: 0 }),
      dispatching('bus-1000-topics', FEW_PATTERNS),
      viaMitt(MANY_TOPICS),
    ],
    targets: [{ ratio: 'bus/without-memory', atLeast: 1 }],
  },
  {
    title: 'the whole publish: event built and stamped, 3 of 10,000 patterns, 1,000 topics',
    unit: 'event',
    ...ROUNDS,
    baseline: 'mitt',
    contenders: [publishing('bus', MANY_PATTERNS), viaMitt()],
    targets: [{ ratio: 'bus/mitt', atLeast: 0.7 }],
  },
]
