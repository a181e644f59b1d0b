/**
 * The addresses of the process: each memory of WebAssembly reserves some 10 GB of its 128 TB, however little is in it. Who takes them from
 * all others is told by what it makes.
 */
import { takeFetchMemory } from './fetch-memory.js'
import { processPages } from './taken-pages.js'

/** A place that has WebAssembly make memories in the kernel's process. */
export interface Reserver {
  /** How often it has, by now. */
  readonly memories: number
  /** Of how many of these it was not seen to have let go. */
  readonly keptMemories: number
  /** It has taken too many of the addresses. MB: what the process may reserve, and what it has; `memories`: about how many it keeps. */
  crowds(allowed: number, reserved: number, memories: number): void
}

interface Share {
  /** How often it had memories made, when it was seen last. */
  memories: number
  /** How often since the addresses were plenty … */
  made: number
  /** … of how many it had been seen to let go before … */
  freed: number
  /** … and about how many it has taken since, in MB. */
  taken: number
  told: boolean
}

const TB = 2 ** 20
/** What the process may have reserved while nobody asks whose it is … */
const PLENTY = 16 * TB
/** … and in all: what is left is enough for everybody else until who took it has ended. */
const MOST_RESERVED = 32 * TB
/**
 * … and in all when who seems to have taken most is the one, also if it was seen to have let go of its memories: code can hold one by what
 * nobody looks at.
 */
const SCARCE = 64 * TB
/** Who has taken less is not the one: what a thread has not collected yet takes no more than 5. */
const ITS = 8 * TB
/** What a memory takes at most, in MB. */
const EACH = 10_240

const freedBy = ({ memories, keptMemories }: Reserver): number => memories - keptMemories

export class ReservedAddresses {
  readonly #shares = new Map<Reserver, Share>()
  /** Who has been seen to have had some made since the last look, and how often. */
  readonly #made = new Map<Share, number>()
  readonly #read: () => number | undefined
  readonly #fewer: () => void
  /** Of what was taken before, nobody asks. */
  #plenty = true
  #reserved = 0
  /** MB that those had taken that are not looked at any more: they are given back when they end. */
  #leaving = 0

  /** `fewer`: called when they are not plenty any more, and not yet scarce: who will need some takes them now. */
  constructor(read = (): number | undefined => processPages()?.reserved, fewer = takeFetchMemory) {
    this.#read = read
    this.#fewer = fewer
  }

  add(place: Reserver): void {
    // What came before is nobody's.
    if (this.#shares.size === 0) this.#reserved = this.#read() ?? this.#reserved
    this.#shares.set(place, { memories: place.memories, made: 0, freed: freedBy(place), taken: 0, told: false })
  }

  delete(place: Reserver): void {
    const share = this.#shares.get(place)
    if (share === undefined) return
    this.#leaving += share.taken
    this.#shares.delete(place)
    this.#made.delete(share)
  }

  /** For each place that does something, before a {@link look}. */
  see(place: Reserver): void {
    const share = this.#shares.get(place)
    if (share === undefined || share.memories === place.memories) return
    this.#made.set(share, (this.#made.get(share) ?? 0) + place.memories - share.memories)
    share.memories = place.memories
  }

  /**
   * `told`: what is reserved, in MB, where that is known by now. While nobody makes any memory it is not asked for; while they are plenty,
   * no place is looked at.
   */
  look(told?: number): void {
    const reserved = told ?? (this.#made.size > 0 ? this.#read() : undefined)
    if (reserved === undefined) return
    const grown = reserved - this.#reserved
    this.#reserved = reserved
    if (reserved < PLENTY) this.#plenty = true
    else this.#divide(grown)
    this.#made.clear()
    if (reserved > MOST_RESERVED) this.#blame(reserved)
  }

  /** Among all, also those that do little. */
  #divide(grown: number): void {
    for (const place of this.#shares.keys()) this.see(place)
    if (this.#plenty) this.#forget()
    if (this.#plenty && this.#reserved < SCARCE) this.#fewer()
    this.#plenty = false
    let all = 0
    for (const [share, since] of this.#made) {
      share.made += since
      all += since
    }
    if (grown > 0) for (const [share, since] of this.#made) share.taken += (grown * since) / all
    else this.#giveBack(-grown)
  }

  #forget(): void {
    this.#leaving = 0
    for (const [place, share] of this.#shares) {
      share.made = share.taken = 0
      share.freed = freedBy(place)
    }
  }

  /** Nobody says whose it was: rather of one that lets go of more, or makes more while none was seen to let go of any. */
  #giveBack(given: number): void {
    const ofOthers = Math.max(0, given - this.#leaving)
    this.#leaving = Math.max(0, this.#leaving - given)
    const freed = [...this.#shares].map(([place, share]) => freedBy(place) - share.freed)
    const shares = [...this.#shares.values()]
    const parts = freed.some((count) => count > 0) ? freed : shares.map(({ made }) => made)
    const all = parts.reduce((sum, part) => sum + part, 0)
    for (const [at, share] of shares.entries()) {
      if (all > 0) share.taken = Math.max(0, share.taken - (ofOthers * (parts[at] as number)) / all)
    }
  }

  #blame(reserved: number): void {
    let most: Reserver | undefined
    let its = 0
    for (const [place, { taken }] of this.#shares) {
      const held = reserved > SCARCE ? taken : Math.min(taken, place.keptMemories * EACH)
      if (held <= its) continue
      most = place
      its = held
    }
    const share = most && this.#shares.get(most)
    if (share === undefined || its < ITS || share.told) return
    share.told = true
    most?.crowds(MOST_RESERVED, reserved, Math.max(Math.round(its / EACH), most.keptMemories))
  }
}
