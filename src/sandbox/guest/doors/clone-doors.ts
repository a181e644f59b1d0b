/**
 * The doors of structured clone. Of an object that is more than data, such as a Blob or a key, Node asks a method how to write it down,
 * whichever it finds there, and where it is read loads the one of its own modules that this method names: some of them end the process. So
 * what a plugin hands over is copied as data first, by V8 alone, and Node gets the copy.
 */
import type PerfHooks from 'node:perf_hooks'
import nodeUtil from 'node:util'
import { MessagePort } from 'node:worker_threads'
import { words } from '../../permissions/words.js'
import { assertWeight, type Written } from '../../values/frame-weight.js'
import { askedObjectIn } from './asked-object.js'
import { lock } from './lock.js'
import { histogramOr } from './native-doors.js'
import { standIn } from './stand-in.js'

type Mark = (name: unknown, options: unknown) => unknown
type Measure = (name: unknown, options: unknown, end: unknown) => unknown
type Timerify = (timed: unknown, options: unknown) => unknown
type Class = new (...all: unknown[]) => object

// The plugin may change what it finds in the realm, prototypes of what is made here among it: taken before it runs, and defined rather than
// assigned.
const { apply, construct, defineProperty, getOwnPropertyDescriptor } = Reflect
const { isView } = ArrayBuffer
const { isArrayBuffer } = nodeUtil.types
const clone = structuredClone
const { postMessage, hasRef } = MessagePort.prototype
const { iterator } = Symbol

/** Most threads never need it. Taken now: what a plugin does to `process` later does not matter. */
const builtin = process.getBuiltinModule.bind(process)
/** No part of the types of Node. */
interface ByView {
  _setTreatArrayBufferViewsAsHostObjects(flag: boolean): void
}
type Engine = Pick<typeof import('node:v8'), 'Serializer' | 'Deserializer'>
let engine: Engine | undefined

const own = (target: object, key: PropertyKey, value: unknown): void => {
  defineProperty(target, key, { __proto__: null, value, writable: true, enumerable: true, configurable: true } as PropertyDescriptor)
}

const uncloneable = (message: string): Error => new DOMException(message, 'DataCloneError')

/** Nobody's method is asked how to write it down. */
const isInert = (value: unknown): boolean =>
  (typeof value !== 'object' && typeof value !== 'function') || value === null || isView(value) || isArrayBuffer(value)

const isPort = (object: object): boolean => {
  try {
    // Refused by all that has another inside, whatever its prototype.
    apply(hasRef, object, [])
    return true
  } catch {
    return false
  }
}

const isIterable = (given: object): given is Iterable<unknown> => iterator in given

/** What is to move, as it is named now. Throws for what may not: it would be asked how. */
const movedOf = (given: Iterable<unknown> | undefined): object[] => {
  const moved: object[] = []
  let count = 0
  if (given !== undefined)
    for (const object of given) {
      if (typeof object !== 'object' || object === null || !(isArrayBuffer(object) || isPort(object)))
        throw uncloneable('Of what a plugin has, only an ArrayBuffer and a MessagePort can be moved.')
      own(moved, count++, object)
    }
  return moved
}

/** Of something that is read by iterating it, whatever became of the iterators of arrays. */
const iterable = (objects: readonly object[]): Iterable<object> => {
  const all = { __proto__: null } as unknown as Iterable<object>
  own(all, iterator, () => {
    let at = 0
    const each = { __proto__: null }
    own(each, 'next', () => ({ __proto__: null, done: at >= objects.length, value: at < objects.length ? objects[at++] : undefined }))
    return each
  })
  return all
}

/**
 * A value as data that nobody had in hand yet, with what is `moved` itself in it; one that `leaves` is weighed. Throws a DataCloneError.
 */
const copyOf = (value: unknown, moved: readonly object[], leaves: boolean): unknown => {
  const asked = askedObjectIn(value)
  if (asked !== undefined) throw uncloneable(`${nameOf(asked)} could not be cloned.`)
  const whole = through(value, moved, leaves, false)
  // V8 alone does not read shared memory again. Views of it pass as they are: of a view, Node asks no method.
  return whole === SHARED ? through(value, moved, leaves, true) : whole
}

const SHARED = Symbol('shared memory')

const moveBuffers = (moved: readonly object[], end: { transferArrayBuffer(id: number, buffer: ArrayBuffer): void }): void => {
  for (let at = 0; at < moved.length; at++) {
    const object = moved[at]
    if (isArrayBuffer(object)) end.transferArrayBuffer(at, object)
  }
}

/** The value written and read by V8; `views`: those of buffers are not copied. {@link SHARED} where some must not be. */
const through = (value: unknown, moved: readonly object[], leaves: boolean, views: boolean): unknown => {
  const { Serializer, Deserializer } = (engine ??= builtin('node:v8'))
  const kept: object[] = []
  let count = 0
  let shared = false
  const keep = (object: object): number => {
    own(kept, count, object)
    return count++
  }
  const writer = new Serializer()
  if (views) (writer as unknown as ByView)._setTreatArrayBufferViewsAsHostObjects(true)
  own(writer, '_getDataCloneError', uncloneable)
  own(writer, '_writeHostObject', (object: object) => {
    for (let at = 0; at < moved.length; at++) if (moved[at] === object) return writer.writeUint32(keep(object))
    if (isView(object)) return writer.writeUint32(keep(object))
    throw uncloneable(`${nameOf(object)} could not be cloned.`)
  })
  own(writer, '_getSharedArrayBufferId', () => {
    if (views) throw uncloneable('A SharedArrayBuffer could not be cloned: give a view of it.')
    shared = true
    return 0
  })
  moveBuffers(moved, writer)
  writer.writeHeader()
  writer.writeValue(value)
  const bytes = writer.releaseBuffer()
  if (shared) return SHARED
  if (leaves) assertLight(bytes)
  const reader = new Deserializer(bytes)
  own(reader, '_readHostObject', () => kept[reader.readUint32()])
  moveBuffers(moved, reader)
  reader.readHeader()
  return reader.readValue()
}

/**
 * What was written may be more than was weighed before, as a getter or an object that is not what its prototype says tells each who asks
 * something else; and few bytes may stand for very much. The heaviest call of its size weighs less than this.
 */
const HEAVIEST = 4 * 1_024 * 1_024
const WRITTEN_HERE: Written = { short: 16 * 1_024, views: false, own: true }

const assertLight = (bytes: Uint8Array): void => {
  try {
    assertWeight(bytes, HEAVIEST, WRITTEN_HERE)
  } catch (error) {
    throw uncloneable(`${(error as Error).message}.`)
  }
}

const nameOf = (object: object): string => {
  try {
    return `A ${object.constructor.name}`
  } catch {
    return 'An object'
  }
}

const asData = (value: unknown, moved: readonly object[], leaves: boolean): unknown =>
  isInert(value) ? value : copyOf(value, moved, leaves)

/** For all time: from then on every way to structured clone that the realm has is one of these. */
export const closeCloning = (): void => {
  const copied = {
    structuredClone(...all: [value?: unknown, options?: { transfer?: Iterable<unknown> }]): unknown {
      if (all.length === 0) return apply(clone as () => unknown, undefined, [])
      const value = all[0]
      const moved = movedOf(all[1]?.transfer)
      const data = asData(value, moved, false)
      if (moved.length > 0) return clone(data, { __proto__: null, transfer: iterable(moved) } as unknown as { transfer: ArrayBuffer[] })
      // What was copied is a clone.
      return data === value ? clone(data) : data
    },
    postMessage(this: MessagePort, message: unknown, given?: Iterable<unknown> | { transfer?: Iterable<unknown> } | null): unknown {
      const moved = movedOf(given === undefined || given === null ? undefined : isIterable(given) ? given : given.transfer)
      return apply(postMessage, this, [asData(message, moved, true), moved])
    },
  }
  standIn(globalThis, 'structuredClone', copied.structuredClone)
  // The guest asks for it by its name.
  lock(globalThis, 'structuredClone', copied.structuredClone)
  standIn(MessagePort.prototype, 'postMessage', copied.postMessage)
  closePerformance()
}

// ── details of measurements ────────────────────────────────────────────────────────────────────────────────────────

/** The globals that lead to marks and measures. */
const PERFORMANCE = words(`
  performance Performance PerformanceEntry PerformanceMark PerformanceMeasure PerformanceObserver PerformanceObserverEntryList PerformanceResourceTiming
`)

/**
 * Node clones the detail of a mark by itself. On some versions its classes are loaded when they are first asked for, which many a plugin
 * never does.
 */
const closePerformance = (): void => {
  const found = new Map(PERFORMANCE.map((name) => [name, getOwnPropertyDescriptor(globalThis, name)]))
  const [performance, mark] = [found.get('performance'), found.get('PerformanceMark')]
  if (performance?.get === undefined || mark?.get === undefined) {
    standIn(globalThis, 'PerformanceMark', copyDetails(globalThis.performance, globalThis.PerformanceMark as unknown as Class))
    return
  }
  const [getPerformance, getMark] = [performance.get, mark.get]
  const copied = (): object => {
    if (Mark !== undefined) return Mark
    const Whole = apply(getMark, globalThis, []) as Class
    const held = copyDetails(apply(getPerformance, globalThis, []) as object, Whole)
    // As Node does with what it has loaded.
    own(globalThis, 'PerformanceMark', Whole)
    standIn(globalThis, 'PerformanceMark', held)
    return held
  }
  for (const [name, descriptor] of found) {
    if (descriptor?.get === undefined) continue
    const { get } = descriptor
    defineProperty(globalThis, name, {
      ...descriptor,
      get(): unknown {
        const held = copied()
        return name === 'PerformanceMark' ? held : apply<undefined, [], unknown>(get as () => unknown, undefined, [])
      },
    })
  }
}

/** In the place of the class of marks, once its methods are closed. */
let Mark: object | undefined

const copyDetails = (performance: object, Whole: Class): object => {
  if (Mark !== undefined) return Mark
  const Held = (Mark = function (name: unknown, options: unknown): unknown {
    return construct(Whole, [name, withData(options)], new.target === undefined || new.target === Held ? Whole : new.target)
  })
  const { prototype } = performance.constructor as unknown as {
    prototype: Record<'mark' | 'measure' | 'timerify', Mark & Measure & Timerify>
  }
  const { mark, measure, timerify } = prototype
  const copied = {
    mark(this: unknown, name: unknown, options: unknown): unknown {
      return apply(mark, this, [name, withData(options)])
    },
    measure(this: unknown, name: unknown, options: unknown, end: unknown): unknown {
      return apply(measure, this, [name, withData(options), end])
    },
    timerify(this: unknown, timed: unknown, options: unknown): unknown {
      return apply(timerify, this, [timed, withHistogram(options)])
    },
  }
  standIn(prototype, 'mark', copied.mark)
  standIn(prototype, 'measure', copied.measure)
  standIn(prototype, 'timerify', copied.timerify)
  return Held
}

/** What `node:perf_hooks` has of it, before a plugin gets that. */
export const closePerfHooks = (hooks: typeof PerfHooks): void => {
  if (hooks.PerformanceMark !== Mark)
    standIn(hooks, 'PerformanceMark', copyDetails(hooks.performance, hooks.PerformanceMark as unknown as Class))
  // From Node 24 on it is here by itself, too.
  if ('timerify' in hooks) defineProperty(hooks, 'timerify', { value: hooks.performance.timerify })
}

/** The options of a function that is timed, with the histogram itself. */
const withHistogram = (options: unknown): unknown =>
  typeof options !== 'object' || options === null
    ? options
    : { __proto__: null, histogram: histogramOr((options as { histogram?: unknown }).histogram) }

/** The options of a mark or a measure, as they are now. */
const withData = (options: unknown): unknown => {
  if (typeof options !== 'object' || options === null) return options
  const { startTime, start, end, duration, detail } = options as Record<string, unknown>
  return { __proto__: null, startTime, start, end, duration, detail: asData(detail, [], false) }
}
