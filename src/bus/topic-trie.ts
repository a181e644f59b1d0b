/** A trie of patterns that finds the values matching a topic, and remembers what it found. */
import { assertPattern, assertTopic, hasWildcard, matchesSegments } from '../topic.js'

/** One node of the pattern trie: the patterns that share a beginning. */
class PatternNode<T> {
  readonly parent: PatternNode<T> | undefined
  readonly key: string
  /** This node is a `**`: it stays while segments pass. */
  readonly many: boolean
  /** One of the literals, most nodes' only one, and the others. */
  literal: PatternNode<T> | undefined
  literals: Map<string, PatternNode<T>> | undefined
  one: PatternNode<T> | undefined
  any: PatternNode<T> | undefined
  /** Most nodes are but the beginnings of patterns. */
  items: Item<T>[] | undefined
  /** The last step of a walk that reached this node: it is entered once a step, however many ways lead here. */
  step = 0

  constructor(parent: PatternNode<T> | undefined, key: string) {
    this.parent = parent
    this.key = key
    this.many = key === '**'
    this.literal = undefined
    this.literals = undefined
    this.one = undefined
    this.any = undefined
    this.items = undefined
  }

  child(key: string): PatternNode<T> {
    if (key === '*') {
      this.one ??= new PatternNode<T>(this, key)
      return this.one
    }
    if (key === '**') {
      this.any ??= new PatternNode<T>(this, key)
      return this.any
    }
    let node = this.next(key)
    if (node === undefined) {
      node = new PatternNode<T>(this, key)
      if (this.literal === undefined) this.literal = node
      else (this.literals ??= new Map()).set(key, node)
    }
    return node
  }

  /** Where that segment leads as it is written. */
  next(segment: string): PatternNode<T> | undefined {
    return this.literal?.key === segment ? this.literal : this.literals?.get(segment)
  }

  put(item: Item<T>): void {
    if (this.items === undefined) this.items = [item]
    else this.items.push(item)
  }

  take(item: Item<T>): void {
    if (this.items?.length === 1) this.items = undefined
    else this.items?.splice(this.items.indexOf(item), 1)
  }

  /** A value at this node or beneath it: no node is without one. */
  get value(): T | undefined {
    if (this.items !== undefined) return this.items[0]?.value
    return (this.one ?? this.any ?? this.literal ?? this.literals?.values().next().value)?.value
  }

  get empty(): boolean {
    const { items, one, any, literal, literals } = this
    return items === undefined && one === undefined && any === undefined && literal === undefined && literals === undefined
  }

  drop(child: PatternNode<T>): void {
    if (child.key === '*') this.one = undefined
    else if (child.key === '**') this.any = undefined
    else if (child === this.literal) this.literal = undefined
    else if (this.literals?.delete(child.key) && this.literals.size === 0) this.literals = undefined
  }
}

interface Item<T> {
  readonly value: T
  /** Position in the order of adding. */
  readonly turn: number
  readonly pattern: string
  readonly node: PatternNode<T>
}

/** What is remembered of one topic. */
interface Memory<T> {
  readonly topic: string
  /** The topic's, once a change has asked for them. */
  segments: readonly string[] | undefined
  found: readonly T[]
  /** How many broad changes it has seen. */
  epoch: number
}

type Candidates<T> = ReadonlySet<Memory<T>> | ReadonlyMap<string, Memory<T>>

interface Change<T> {
  readonly pattern: string
  readonly value: T
  readonly added: boolean
}

export interface TopicTrieOptions<T> {
  /** How many topics are remembered at most. Default 131,072. */
  capacity?: number | undefined
  /**
   * Asked when a topic, or its beginning, matches so many beginnings of patterns that finding out takes long: `ways` of them at once, and
   * here are some values that they lead to. What it takes out of the trie meanwhile is not looked for any more.
   */
  onWide?: ((topic: string, values: readonly T[], ways: number) => void) | undefined
}

const CAPACITY = 131_072
/** A full memory takes in one new topic of so many missed, so that a stream of ever new topics costs a walk each and no more. */
const ADMIT_ONE_OF = 32
/**
 * A change that would have to look at more memories than this is written down, and applied to each when it is next asked for; also when all
 * changes of one turn have looked at so many.
 */
const CHANGE_BUDGET = 4_096
const TURN_BUDGET = 16_384
/** What has more values than this is not amended at a change, which would copy them all, but found anew when it is next asked for. */
const AMENDED_AT_MOST = 64
/** Steps of one walk after which it is asked who makes it so long; then again after twice as many. */
const LONG_WALK = 1_024
/** How many of those that it has come to are looked at for that. */
const SAMPLE = 512
/** A memory that missed more broad changes than this is found anew. */
const CHANGES_KEPT = 32

/**
 * Patterns and their values. `match` gives the values of all patterns that match a topic, in the order they were added, each once,
 * as an array that never changes, and is the same object until a change concerns that topic.
 *
 * The walk is the breadth-first simulation of a nondeterministic automaton (Thompson 1968): a node is entered at most once a
 * segment, so no pattern is exponential. What is found is remembered per topic, within a bound. A change of a pattern does not
 * forget everything: an inverted index of the remembered topics by segment leads, through the pattern's rarest segment, to the few
 * that it may match, and these are amended.
 */
export class TopicTrie<T> {
  readonly #root = new PatternNode<T>(undefined, '')
  readonly #items = new Map<T, Item<T>>()
  #turn = 0
  #refusal: (() => Error) | undefined

  readonly #capacity: number
  readonly #onWide: TopicTrieOptions<T>['onWide']
  /** What `match` answers at once. */
  #found = new Map<string, readonly T[]>()
  readonly #memories = new Map<string, Memory<T>>()
  /** The memories of all topics that have a segment in them; most segments are in one topic alone. */
  readonly #index = new Map<string, Memory<T> | Set<Memory<T>>>()
  /** All memories, in a row that is gone round to make room. */
  readonly #slots: Memory<T>[] = []
  #hand = 0
  #missed = 0
  /** Memories that were looked at for the changes of this turn. */
  #looked = 0
  /** Number of broad changes so far; `#changes` holds the last of them. */
  #epoch = 0
  #changes: Change<T>[] = []

  #step = 0
  #frontier: PatternNode<T>[] = []
  #next: PatternNode<T>[] = []

  constructor(options: TopicTrieOptions<T> = {}) {
    this.#capacity = options.capacity ?? CAPACITY
    this.#onWide = options.onWide
  }

  /** How many values it holds. */
  get size(): number {
    return this.#items.size
  }

  /** How many topics it remembers. */
  get remembered(): number {
    return this.#slots.length
  }

  has(value: T): boolean {
    return this.#items.has(value)
  }

  values(): IterableIterator<T> {
    return this.#items.keys()
  }

  /** Adds a value under a pattern. A value is in the trie once: false if it is there already. Throws `PATTERN_INVALID`. */
  add(pattern: string, value: T): boolean {
    assertPattern(pattern)
    if (this.#refusal) throw this.#refusal()
    if (this.#items.has(value)) return false
    let node = this.#root
    for (const segment of pattern.split('.')) node = node.child(segment)
    const item: Item<T> = { value, turn: this.#turn++, pattern, node }
    node.put(item)
    this.#items.set(value, item)
    this.#changed({ pattern, value, added: true })
    return true
  }

  /** Takes a value out. False if it was not there. */
  delete(value: T): boolean {
    const item = this.#items.get(value)
    if (item === undefined) return false
    this.#items.delete(value)
    const { node, pattern } = item
    node.take(item)
    for (let at: PatternNode<T> = node; at.parent !== undefined && at.empty; at = at.parent) at.parent.drop(at)
    this.#changed({ pattern, value, added: false })
    return true
  }

  /** From now on `match` and `add` throw what this gives. */
  close(refusal: () => Error): void {
    this.#refusal = refusal
    // What is remembered would be answered without a further look.
    this.#found.clear()
    this.#memories.clear()
    this.#index.clear()
  }

  /** The values whose patterns match the topic, in the order they were added. Throws `TOPIC_INVALID`. */
  match(topic: string): readonly T[] {
    return this.#found.get(topic) ?? this.#miss(topic)
  }

  #miss(topic: string): readonly T[] {
    assertTopic(topic)
    if (this.#refusal) throw this.#refusal()
    // The two are of one size unless a broad change has emptied the first.
    const known = this.#memories.size > this.#found.size ? this.#memories.get(topic) : undefined
    if (known !== undefined) {
      this.#catchUp(known)
      return known.found
    }
    const segments = topic.split('.')
    const found = this.#find(topic, segments)
    if (this.#slots.length < this.#capacity) {
      this.#slots.push(this.#remember(topic, segments, found))
    } else if (this.#capacity > 0 && ++this.#missed % ADMIT_ONE_OF === 0) {
      const victim = this.#slots[this.#hand]
      if (victim !== undefined) this.#forget(victim)
      this.#slots[this.#hand] = this.#remember(topic, segments, found)
      this.#hand = (this.#hand + 1) % this.#capacity
    }
    return found
  }

  #find(topic: string, segments: readonly string[]): readonly T[] {
    for (let most = this.#onWide === undefined ? Infinity : LONG_WALK; ; ) {
      const found = this.#walk(segments, most)
      if (found !== undefined) return found
      const { size } = this
      const ways = this.#frontier.length
      const apart = Math.ceil(ways / SAMPLE)
      const values: T[] = []
      for (let i = 0; i < ways; i += apart) values.push(this.#frontier[i]?.value as T)
      this.#onWide?.(topic, values, ways)
      if (this.size >= size) most *= 2
    }
  }

  /** Undefined: it would take more than so many steps; `#frontier` is how far it has come. */
  #walk(segments: readonly string[], most: number): readonly T[] | undefined {
    let steps = 0
    let frontier = this.#frontier
    let next = this.#next
    frontier.length = 0
    this.#enter(this.#root, frontier, ++this.#step)
    for (const segment of segments) {
      const step = ++this.#step
      next.length = 0
      for (const node of frontier) {
        if (node.many) this.#enter(node, next, step)
        const literal = node.next(segment)
        if (literal !== undefined) this.#enter(literal, next, step)
        if (node.one !== undefined) this.#enter(node.one, next, step)
      }
      const swap = frontier
      frontier = next
      next = swap
      if (frontier.length === 0) return NONE
      if ((steps += frontier.length) > most) {
        this.#frontier = frontier
        this.#next = next
        return undefined
      }
    }
    const items: Item<T>[] = []
    for (const node of frontier) if (node.items !== undefined) for (const item of node.items) items.push(item)
    if (items.length === 0) return NONE
    if (items.length > 1) items.sort((a, b) => a.turn - b.turn)
    return items.map((item) => item.value)
  }

  /** Enters a node and every `**` that can be passed over with no segment at all. */
  #enter(node: PatternNode<T>, into: PatternNode<T>[], step: number): void {
    for (let at: PatternNode<T> | undefined = node; at !== undefined && at.step !== step; at = at.any) {
      at.step = step
      into.push(at)
    }
  }

  #remember(topic: string, segments: readonly string[], found: readonly T[]): Memory<T> {
    const memory: Memory<T> = { topic, segments: undefined, found, epoch: this.#epoch }
    this.#found.set(topic, found)
    this.#memories.set(topic, memory)
    for (const segment of segments) {
      const sharing = this.#index.get(segment)
      if (sharing === undefined) this.#index.set(segment, memory)
      else if (sharing instanceof Set) sharing.add(memory)
      else if (sharing !== memory) this.#index.set(segment, new Set([sharing, memory]))
    }
    return memory
  }

  #forget(memory: Memory<T>): void {
    this.#found.delete(memory.topic)
    this.#memories.delete(memory.topic)
    for (const segment of memory.topic.split('.')) {
      const sharing = this.#index.get(segment)
      if (sharing === memory || (sharing instanceof Set && sharing.delete(memory) && sharing.size === 0)) this.#index.delete(segment)
    }
  }

  #changed(change: Change<T>): void {
    const { pattern } = change
    if (!hasWildcard(pattern)) {
      const memory = this.#memories.get(pattern)
      if (memory !== undefined) this.#amend(memory, change)
      return
    }
    const segments = pattern.split('.')
    const candidates = this.#candidates(segments)
    if (candidates.size <= CHANGE_BUDGET && this.#looked < TURN_BUDGET) {
      this.#look(candidates.size)
      const every = pattern === '**'
      const open = segments.includes('**')
      for (const memory of candidates.values()) {
        const theirs = (memory.segments ??= memory.topic.split('.'))
        if (every || ((open || theirs.length === segments.length) && matchesSegments(segments, theirs))) this.#amend(memory, change)
      }
      return
    }
    // Too many to look at now. Each memory catches up when it is next missed.
    this.#found = new Map()
    this.#epoch++
    this.#changes.push(change)
    if (this.#changes.length > CHANGES_KEPT * 2) this.#changes = this.#changes.slice(-CHANGES_KEPT)
  }

  #look(count: number): void {
    if (count > 0 && this.#looked === 0) void TURN.then(this.#turned)
    this.#looked += count
  }

  readonly #turned = (): void => {
    this.#looked = 0
  }

  /** The fewest memories that a look at the index can narrow a pattern down to. */
  #candidates(segments: readonly string[]): Candidates<T> {
    let fewest: Candidates<T> = this.#memories
    for (const segment of segments) {
      if (hasWildcard(segment)) continue
      const sharing = this.#index.get(segment)
      if (sharing === undefined) return NOWHERE
      if (!(sharing instanceof Set)) return new Set([sharing])
      if (sharing.size < fewest.size) fewest = sharing
    }
    return fewest
  }

  /** Applies one change to one memory, after all that came before it. */
  #amend(memory: Memory<T>, change: Change<T>): void {
    if (memory.found.length > AMENDED_AT_MOST || this.#epoch - memory.epoch > this.#changes.length) {
      memory.epoch = LONG_AGO
      this.#found.delete(memory.topic)
      return
    }
    this.#catchUp(memory)
    memory.found = amended(memory.found, change)
    this.#found.set(memory.topic, memory.found)
  }

  /** Brings a memory up to the last broad change. */
  #catchUp(memory: Memory<T>): void {
    const behind = this.#epoch - memory.epoch
    if (behind === 0) return
    const segments = memory.topic.split('.')
    if (behind > this.#changes.length) {
      memory.found = this.#find(memory.topic, segments)
      memory.epoch = this.#epoch
    } else {
      memory.epoch = this.#epoch
      for (const change of this.#changes.slice(-behind)) {
        if (matchesSegments(change.pattern.split('.'), segments)) memory.found = amended(memory.found, change)
      }
    }
    this.#found.set(memory.topic, memory.found)
  }
}

const NONE: readonly never[] = []
/** The epoch of a memory that is to be found anew. */
const LONG_AGO = -Infinity
/** What comes after the present turn, and the promises it has resolved by now. */
const TURN = Promise.resolve()
const NOWHERE: ReadonlySet<never> = new Set()

/**
 * A new array, since somebody may be walking the old one. The newest value comes last, so adding never has to sort. (The arrays are
 * not frozen: reading a frozen one is slower by half on V8 11.)
 */
const amended = <T>(found: readonly T[], change: Change<T>): readonly T[] =>
  change.added ? [...found, change.value] : found.filter((value) => value !== change.value)
