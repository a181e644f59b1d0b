/** One folder of plugins under watch: sees a plugin that is dropped in, one that is taken out, and one that was unusable and was mended. */
import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { looksLikePlugin } from '../manifest/discovery.js'

export interface WatchedPlaceOptions {
  /** How long a new plugin's files must stay the same, in ms. */
  settle: number
  isIgnored: (path: string) => boolean
  /** The children with tracked files in them: changes of those are reported as such. */
  tracked: () => ReadonlySet<string>
  /** Watches a folder that is no known plugin yet; returns the undo. */
  watchFolder: (path: string) => () => void
  onAppear: (path: string) => void
  onVanish: (path: string) => void
}

interface Child {
  path: string
  /** What it looked like at the last look, and when it was last reported. Undefined: not there. */
  seen: string | undefined
  reported: string | undefined
  /** Whether a look found a plugin there: its end is news even if the last look found it half gone. */
  wasPlugin: boolean
  unwatch: (() => void) | undefined
  timer: NodeJS.Timeout | undefined
  /** The newest look at it, as long as that is under way: what an older one finds after it has begun is no longer so. */
  look: symbol | undefined
  /** Those who wait until no further look at it is to come. */
  awaited: (() => void)[]
}

const childAt = (path: string): Child => ({
  path,
  seen: undefined,
  reported: undefined,
  wasPlugin: false,
  unwatch: undefined,
  timer: undefined,
  look: undefined,
  awaited: [],
})

/** No further look at it is to come: what it came to has been told. */
const judged = (child: Child): void => {
  for (const resolve of child.awaited.splice(0)) resolve()
}

/** Something that is gone may come back within a save or a checkout: it is gone after this many settling times. */
const PATIENCE = 10
const LEAST_PATIENCE = 100

/** While something else comes in, which it may have become, so many times that. */
const MOST_PATIENCE = 4

export class WatchedPlace {
  readonly path: string
  readonly #options: WatchedPlaceOptions
  readonly #children = new Map<string, Child>()
  #closed = false
  readonly ready: Promise<void>

  /** What is in the folder now counts as known, but for what is not among `known`, where that is given. */
  constructor(path: string, options: WatchedPlaceOptions, known?: ReadonlySet<string>) {
    this.path = path
    this.#options = options
    this.ready = this.#takeBaseline(known)
  }

  async #takeBaseline(known: ReadonlySet<string> | undefined): Promise<void> {
    await Promise.all(
      (await this.#paths()).map(async (path) => {
        if (known && !known.has(path)) return this.#stir(path)
        const seen = await this.#describe(path)
        if (seen === undefined) return
        const child: Child = { ...childAt(path), seen, reported: seen, wasPlugin: looksLikePlugin(path) }
        this.#children.set(path, child)
        await this.#watchUnlessTracked(child)
      }),
    )
  }

  /** Something changed in a child of that name. */
  lookInside(name: string): void {
    const path = join(this.path, name)
    if (!this.#skipped(path) && !this.#options.tracked().has(path)) void this.look(name)
  }

  /** A child is no longer tracked: as it is now it counts as known, and only what changes from here on is news. */
  async letGo(path: string): Promise<void> {
    const child = this.#children.get(path)
    if (!child) return
    clearTimeout(child.timer)
    child.timer = undefined
    judged(child)
    child.seen = await this.#describe(path)
    child.reported = child.seen
    if (!this.#closed) await this.#watchUnlessTracked(child)
  }

  /** Looks at a child, and resolves when it is certain whether that is gone, and this has been told. */
  async judged(path: string): Promise<void> {
    await this.ready
    // Others may have moved what they track there since that was told to be gone.
    if (!this.#children.has(path) && !this.#options.tracked().has(path)) return
    const child = this.#stir(path)
    if (child?.timer) await new Promise<void>((resolve) => child.awaited.push(resolve))
  }

  /** An entry of the folder came, went or was replaced: that of the name, or any. */
  async look(name?: string): Promise<void> {
    await this.ready
    const paths = name === undefined ? new Set([...(await this.#paths()), ...this.#children.keys()]) : [join(this.path, name)]
    for (const path of paths) if (!this.#skipped(path)) this.#stir(path)
  }

  /** For the safety net: looks at what came, went, or is no usable plugin yet. */
  async glance(): Promise<void> {
    await this.ready
    const present = new Set(await this.#paths())
    const tracked = this.#options.tracked()
    for (const path of new Set([...present, ...this.#children.keys()])) {
      const child = this.#children.get(path)
      if (child?.timer || (child && present.has(path) && tracked.has(path))) continue
      if ((await this.#describe(path)) !== child?.seen) this.#stir(path)
    }
  }

  #skipped(path: string): boolean {
    const name = basename(path)
    return name.startsWith('.') || name === 'node_modules' || this.#options.isIgnored(path)
  }

  async #paths(): Promise<string[]> {
    const names = await readdir(this.path).catch(() => [])
    return names.map((name) => join(this.path, name)).filter((path) => !this.#skipped(path))
  }

  /** A text that changes when the file, or something directly in the folder, does; undefined if there is nothing. */
  async #describe(path: string): Promise<string | undefined> {
    const stats = await stat(path).catch(() => undefined)
    if (!stats) return undefined
    if (!stats.isDirectory()) return `${stats.ino}:${stats.size}:${stats.mtimeMs}`
    const names = await readdir(path).catch(() => [])
    const parts = names.map(async (name) => {
      const inner = join(path, name)
      if (this.#skipped(inner)) return ''
      const found = await stat(inner).catch(() => undefined)
      return found ? `${name}:${found.ino}:${found.size}:${found.mtimeMs}` : ''
    })
    return `${stats.ino}|${(await Promise.all(parts)).sort().join('|')}`
  }

  #stir(path: string): Child | undefined {
    if (this.#closed) return undefined
    const child = this.#children.get(path) ?? childAt(path)
    this.#children.set(path, child)
    if (!child.timer) this.#lookLater(child, this.#options.settle)
    return child
  }

  #lookLater(child: Child, delay: number): void {
    clearTimeout(child.timer)
    child.timer = setTimeout(() => {
      void this.#settle(child, delay).then(() => {
        if (!child.timer && !child.look) judged(child)
      })
    }, delay)
  }

  async #settle(child: Child, waited: number): Promise<void> {
    // Before the look: what stirs while it is taken asks for another, which then stands for this one.
    child.timer = undefined
    const look = Symbol(child.path)
    child.look = look
    const now = await this.#describe(child.path)
    if (child.look !== look) return
    child.look = undefined
    if (this.#closed || child.timer) return
    if (now === undefined) return this.#gone(child, waited)
    if (now !== child.seen) {
      child.seen = now
      await this.#watchUnlessTracked(child)
      return this.#lookLater(child, this.#options.settle)
    }
    if (!looksLikePlugin(child.path) || now === child.reported) return
    child.wasPlugin = true
    child.reported = now
    if (!this.#options.tracked().has(child.path)) this.#options.onAppear(child.path)
  }

  #gone(child: Child, waited: number): void {
    const patience = Math.max(PATIENCE * this.#options.settle, LEAST_PATIENCE)
    if (waited < patience) {
      this.#lookLater(child, patience)
      return
    }
    if (waited < MOST_PATIENCE * patience && this.#isComing(child)) {
      this.#lookLater(child, 2 * waited)
      return
    }
    child.unwatch?.()
    this.#children.delete(child.path)
    // One that others have moved there was one before it was looked at, and it may have gone before that.
    if (child.wasPlugin || this.#options.tracked().has(child.path)) this.#options.onVanish(child.path)
  }

  /** Whether another child is on its way in: it is told of first. */
  #isComing(gone: Child): boolean {
    const tracked = this.#options.tracked()
    return [...this.#children.values()].some(
      (child) => child !== gone && !child.wasPlugin && !tracked.has(child.path) && (child.timer !== undefined || child.look !== undefined),
    )
  }

  async #watchUnlessTracked(child: Child): Promise<void> {
    if (this.#options.tracked().has(child.path)) {
      child.unwatch?.()
      child.unwatch = undefined
    } else if (!child.unwatch && (await stat(child.path).catch(() => undefined))?.isDirectory() && !this.#closed) {
      child.unwatch = this.#options.watchFolder(child.path)
    }
  }

  close(): void {
    this.#closed = true
    for (const child of this.#children.values()) {
      clearTimeout(child.timer)
      child.unwatch?.()
      judged(child)
    }
  }
}
