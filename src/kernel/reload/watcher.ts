/** Watches the files plugins are made of, the folders they may be dropped into, and their configuration. */
import { lstat, readdir, readlink, realpath } from 'node:fs/promises'
import { basename, dirname, extname, join, parse, resolve, sep } from 'node:path'
import { within } from '../../within.js'
import { MOST_READ } from '../modules/module-graph.js'
import { WatchedFile } from './watched-file.js'
import { WatchedFolder } from './watched-folder.js'
import { WatchedPlace } from './watched-place.js'

export interface WatcherOptions {
  /**
   * How long a file written in place must stay the same before it counts as saved, in ms. A file put there whole (a rename) counts at once.
   * Default: 20.
   */
  settle?: number | undefined
  /** How often all tracked files are looked at in case an event was lost, in ms; less often where they are many. Default: 2000. */
  poll?: number | undefined
  /** Folders whose changes mean nothing, such as where plugins write their data. */
  ignore?: readonly string[] | undefined
  /** Files of a tracked plugin have new content, came or went. `paths` are those of this report. */
  onChange: (name: string, paths: string[]) => void
  /** A plugin was dropped into a watched place, or one there that is not tracked was changed. */
  onAppear?: ((path: string) => void) | undefined
  /** A plugin of a watched place is gone. */
  onVanish?: ((path: string) => void) | undefined
  /** The configuration file of a plugin changed, came or went. */
  onConfig?: ((name: string) => void) | undefined
  /** A folder cannot be watched, for instance because the system's watches are used up. Its files are still polled. */
  onFault?: ((error: unknown) => void) | undefined
}

const DEFAULT_SETTLE = 20
const DEFAULT_POLL = 2_000

/**
 * For each tracked file the next look at them all is so much later, in ms, as it takes about a thousandth of that: nobody pays for the size
 * of what lies still …
 */
const REST = 50
/** … but no more than this, in ms. */
const LONGEST_REST = 10_000

/** Changes are held together while other files are being saved, but not for longer than this, in ms. */
const HOLD = 250

/**
 * So many tracked files the safety net asks the system for at once: its threads, once awake, are not woken for each, which costs thrice
 * what the answer does.
 */
const GLANCES = 128

/** Whoever is told of a change: a tracked plugin, or a configuration. */
class Owner {
  readonly report: (paths: string[]) => void
  readonly files = new Set<WatchedFile>()
  readonly #changed = new Set<string>()
  /** Bytes of the files that are read to know them. */
  readonly #read = new Map<WatchedFile, number>()
  #room = MOST_READ
  #hold: NodeJS.Timeout | undefined

  constructor(report: (paths: string[]) => void) {
    this.report = report
  }

  changed(path: string): void {
    this.#changed.add(path)
    this.#hold ??= setTimeout(() => this.#flush(), HOLD)
  }

  /** Reports, unless another file of the same owner is being saved right now. */
  settle(): void {
    if (this.#changed.size > 0 && !Array.from(this.files).some((file) => file.busy)) this.#flush()
  }

  #flush(): void {
    clearTimeout(this.#hold)
    this.#hold = undefined
    const paths = [...this.#changed].sort()
    this.#changed.clear()
    if (paths.length > 0) this.report(paths)
  }

  /** Whether a file of that size has room among those that are read. */
  reads(file: WatchedFile, bytes: number): boolean {
    this.#unread(file)
    if (bytes > this.#room) return false
    this.#room -= bytes
    this.#read.set(file, bytes)
    return true
  }

  #unread(file: WatchedFile): void {
    this.#room += this.#read.get(file) ?? 0
    this.#read.delete(file)
  }

  letGo(file: WatchedFile): void {
    this.files.delete(file)
    this.#unread(file)
  }

  close(): void {
    clearTimeout(this.#hold)
    this.#changed.clear()
  }
}

/** A watched file with who is told of it, and the folders in which a change can concern it. */
interface Entry {
  file: WatchedFile
  owners: Set<Owner>
  folders: Set<WatchedFolder>
  /** Folders that hold a link on the way to the file: any entry that comes or goes there may be that link. */
  linkFolders: Set<string>
}

/** The direct children of a folder that some of the paths are, or are in. */
const childrenAmong = (folder: string, paths: Iterable<string>): Set<string> => {
  const found = new Set<string>()
  for (const path of paths) {
    if (path === folder || !within(folder, path)) continue
    const end = path.indexOf(sep, folder.length + 1)
    found.add(end < 0 ? path : path.slice(0, end))
  }
  return found
}

/** More links than this on the way to a file are a circle. */
const MAX_LINKS = 40

/** The folders whose entries decide which file a path means: its own, and that of every link on the way. */
const foldersOf = async (path: string): Promise<{ folders: Set<string>; links: Set<string> }> => {
  const folders = new Set([dirname(path)])
  const links = new Set<string>()
  // One call answers for nearly all files: no link on the way.
  const real = await realpath(path).catch(async () => join(await realpath(dirname(path)).catch(() => ''), basename(path)))
  if (real === path) return { folders, links }
  let rest = path
  for (let round = 0; round < MAX_LINKS; round++) {
    const { root } = parse(rest)
    const parts = rest.slice(root.length).split(sep)
    let at = root
    let next: string | undefined
    for (const [index, part] of parts.entries()) {
      at = join(at, part)
      const stats = await lstat(at).catch(() => undefined)
      if (!stats) break
      if (!stats.isSymbolicLink()) continue
      folders.add(dirname(at))
      links.add(dirname(at))
      const target = await readlink(at).catch(() => undefined)
      if (target !== undefined) next = join(resolve(dirname(at), target), ...parts.slice(index + 1))
      break
    }
    if (next === undefined) break
    rest = next
    folders.add(dirname(rest))
  }
  return { folders, links }
}

/**
 * Tells which plugins a change on disk concerns. It watches the folders of the tracked files, as a watch on a file ends with
 * the first save that replaces it; acts on the first event at once; compares content, so that a touch or a chmod reports
 * nothing; and looks again later, and at long intervals, as every backend loses events.
 */
export class Watcher {
  readonly #options: WatcherOptions
  readonly #settle: number
  readonly #period: number
  readonly #entries = new Map<string, Entry>()
  readonly #folders = new Map<string, WatchedFolder>()
  readonly #plugins = new Map<string, Owner>()
  readonly #configs = new Map<string, Owner>()
  readonly #places = new Map<string, WatchedPlace>()
  readonly #configDirs = new Set<string>()
  readonly #opening = new Set<Promise<unknown>>()
  /** Those who wait until nothing is being saved. */
  readonly #awaited: (() => void)[] = []
  /** Keeps the process, also where there is no folder to watch yet: whoever watches waits for what comes. */
  #poll: NodeJS.Timeout | undefined
  #closing: Promise<void> | undefined

  constructor(options: WatcherOptions) {
    this.#options = options
    this.#settle = options.settle ?? DEFAULT_SETTLE
    this.#period = options.poll ?? DEFAULT_POLL
    this.#glanceAfter(this.#period)
  }

  /**
   * Sets the files a plugin is made of; those of an earlier call that are not among them are let go. Files may lie
   * anywhere and need not be there. Resolves once changes are seen. The content of this moment is what later ones are
   * compared with, so track a plugin before its code is loaded rather than after. Files that are watched already have been read by others
   * from `since` on: of one that was saved meanwhile the next content is news, whatever it is.
   */
  async track(name: string, files: Iterable<string>, since = performance.now()): Promise<void> {
    if (this.#closing) return
    const owner = this.#plugins.get(name) ?? new Owner((paths) => this.#options.onChange(name, paths))
    this.#plugins.set(name, owner)
    await this.#own(owner, new Set(Array.from(files, (file) => resolve(file))), since)
  }

  /** The files of a plugin have been read by others since they were tracked last. */
  async taken(name: string): Promise<void> {
    await Promise.all(Array.from(this.#plugins.get(name)?.files ?? [], (file) => file.loaded()))
  }

  /** Stops watching for a plugin. */
  untrack(name: string): void {
    const owner = this.#plugins.get(name)
    if (!owner) return
    this.#plugins.delete(name)
    const paths = Array.from(owner.files, (file) => file.path)
    for (const file of owner.files) this.#disown(owner, file)
    owner.close()
    for (const place of this.#places.values()) for (const child of childrenAmong(place.path, paths)) void place.letGo(child)
  }

  /**
   * Watches folders of plugins. What is in them now counts as known; where `known` is given (the paths a discovery came
   * upon, usable or not), anything else there is reported as if it had just come.
   */
  async watchPlaces(folders: Iterable<string>, known?: Iterable<string>): Promise<void> {
    const paths = known && new Set(Array.from(known, (path) => resolve(path)))
    await Promise.all(
      Array.from(folders, async (each) => {
        const path = resolve(each)
        if (this.#closing || this.#places.has(path)) return
        const place = new WatchedPlace(
          path,
          {
            settle: this.#settle,
            isIgnored: (child) => this.#isIgnored(child),
            tracked: () => childrenAmong(path, this.#entries.keys()),
            watchFolder: (folder) => {
              const watched = this.#folder(folder)
              return () => this.#release(watched)
            },
            onAppear: (child) => this.#options.onAppear?.(child),
            onVanish: (child) => this.#options.onVanish?.(child),
          },
          paths,
        )
        this.#places.set(path, place)
        await this.#opened(Promise.all([place.ready, this.#folder(path).ready]))
      }),
    )
  }

  /** Watches a folder of configuration files, `<plugin name>.{yaml,yml,json}`. */
  async watchConfig(folder: string): Promise<void> {
    const path = resolve(folder)
    if (this.#closing || this.#configDirs.has(path)) return
    this.#configDirs.add(path)
    await this.#opened(Promise.all([this.#folder(path).ready, this.#readConfigDir(path, false)]))
  }

  /** Resolves once everything asked for so far is watched. */
  async ready(): Promise<void> {
    while (this.#opening.size > 0) await Promise.all(this.#opening)
    await Promise.all(Array.from(this.#folders.values(), (folder) => folder.ready))
  }

  /** Resolves when no tracked file is being saved any more: then what one save changes has been reported. Soon in any case. */
  async quiet(): Promise<void> {
    if (!this.#saving || this.#closing) return
    await new Promise<void>((resolve) => {
      const hold = setTimeout(resolve, HOLD)
      this.#awaited.push(() => {
        clearTimeout(hold)
        resolve()
      })
    })
  }

  /**
   * Looks at the plugin's files: whether they may be others than what was reported before, or may have been since then, of
   * `performance.now()`.
   */
  async stirs(name: string, since?: number): Promise<boolean> {
    const files = [...(this.#plugins.get(name)?.files ?? [])]
    const news = await Promise.all(files.map((file) => file.stirs(since)))
    return news.includes(true)
  }

  /** Resolves when it is certain of these plugins of watched places whether they are gone, and this has been reported. */
  async judged(paths: readonly string[]): Promise<void> {
    await Promise.all(paths.flatMap((path) => this.#places.get(dirname(path))?.judged(path) ?? []))
  }

  get #saving(): boolean {
    for (const { file } of this.#entries.values()) if (file.busy) return true
    return false
  }

  #quieted(): void {
    for (const resolve of this.#awaited.splice(0)) resolve()
  }

  /** Ends all watching. Nothing is reported afterwards. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    clearTimeout(this.#poll)
    this.#quieted()
    for (const owner of [...this.#plugins.values(), ...this.#configs.values()]) owner.close()
    for (const place of this.#places.values()) place.close()
    for (const { file } of this.#entries.values()) file.close()
    await Promise.all(Array.from(this.#folders.values(), (folder) => folder.close()))
    this.#folders.clear()
    this.#entries.clear()
  }

  async #opened<T>(promise: Promise<T>): Promise<T> {
    this.#opening.add(promise)
    try {
      return await promise
    } finally {
      this.#opening.delete(promise)
    }
  }

  #isIgnored(path: string): boolean {
    return (this.#options.ignore ?? []).some((folder) => within(resolve(folder), path))
  }

  async #own(owner: Owner, paths: ReadonlySet<string>, since: number): Promise<void> {
    for (const file of owner.files) if (!paths.has(file.path)) this.#disown(owner, file)
    const entries = Array.from(paths, (path) => {
      const entry = this.#entries.get(path) ?? this.#enter(path)
      entry.owners.add(owner)
      owner.files.add(entry.file)
      return entry
    })
    await this.#opened(Promise.all(entries.map((entry) => Promise.all([entry.file.taken(since), this.#placeInFolders(entry)]))))
  }

  #enter(path: string, fromNothing = false): Entry {
    const file = new WatchedFile(path, {
      settle: this.#settle,
      fromNothing,
      mayRead: (file, bytes) => Array.from(entry.owners).some((owner) => owner.reads(file, bytes)),
      onVersion: () => {
        for (const owner of entry.owners) owner.changed(path)
        void this.#placeInFolders(entry) // a link may lead elsewhere now
      },
      onIdle: () => {
        for (const owner of entry.owners) owner.settle()
        if (!this.#saving) this.#quieted()
      },
    })
    const entry: Entry = { file, owners: new Set(), folders: new Set(), linkFolders: new Set() }
    this.#entries.set(path, entry)
    return entry
  }

  #disown(owner: Owner, file: WatchedFile): void {
    owner.letGo(file)
    const entry = this.#entries.get(file.path)
    if (!entry?.owners.delete(owner) || entry.owners.size > 0) return
    this.#entries.delete(file.path)
    file.close()
    for (const folder of entry.folders) this.#release(folder)
    entry.folders.clear()
  }

  async #placeInFolders(entry: Entry): Promise<void> {
    const { folders, links } = await foldersOf(entry.file.path)
    if (this.#closing || this.#entries.get(entry.file.path) !== entry) return
    const before = entry.folders
    entry.folders = new Set(Array.from(folders, (path) => this.#folder(path)))
    entry.linkFolders = links
    for (const folder of before) this.#release(folder)
    await Promise.all(Array.from(entry.folders, (folder) => folder.ready))
  }

  /** The watch on a folder, with one more use. */
  #folder(path: string): WatchedFolder {
    let folder = this.#folders.get(path)
    if (!folder) {
      folder = new WatchedFolder(path, {
        onStir: (name, how) => this.#stirred(path, name, how),
        isWatched: (inner) => this.#entries.has(inner),
        isAwaited: () => this.#places.has(path) || this.#configDirs.has(path),
        onFault: (error) => this.#options.onFault?.(error),
      })
      this.#folders.set(path, folder)
    }
    folder.uses++
    return folder
  }

  #release(folder: WatchedFolder): void {
    if (--folder.uses > 0 || this.#folders.get(folder.path) !== folder) return
    this.#folders.delete(folder.path)
    void folder.close()
  }

  #stirred(folder: string, name: string | undefined, how: 'put' | 'write' | 'unknown'): void {
    if (this.#closing) return
    const full = name === undefined ? undefined : join(folder, name)
    const exact = full === undefined ? undefined : this.#entries.get(full)
    if (exact) exact.file.touched(how)
    else if (full !== undefined && this.#isIgnored(full)) return
    else if (how !== 'write') {
      for (const entry of this.#entries.values()) {
        if (full !== undefined && within(full, entry.file.path)) entry.file.moved()
        else if (entry.linkFolders.has(folder)) entry.file.touched('put')
        else if (full === undefined && dirname(entry.file.path) === folder) entry.file.touched('unknown')
      }
    }
    if (full !== undefined) void this.#folders.get(full)?.check()
    for (const place of this.#places.values()) {
      if (place.path === folder) void place.look(name)
      else if (dirname(folder) === place.path) place.lookInside(basename(folder))
    }
    if (this.#configDirs.has(folder)) void this.#readConfigDir(folder)
  }

  async #readConfigDir(folder: string, fromNothing = true): Promise<void> {
    const names = await readdir(folder).catch(() => [])
    const files = names.filter((name) => ['.yaml', '.yml', '.json'].includes(extname(name)) && !name.startsWith('.'))
    await Promise.all(files.map((name) => this.#ownConfig(join(folder, name), fromNothing)))
  }

  async #ownConfig(path: string, fromNothing: boolean): Promise<void> {
    if (this.#closing || this.#entries.has(path)) return
    const name = basename(path, extname(path))
    const owner = this.#configs.get(name) ?? new Owner(() => this.#options.onConfig?.(name))
    this.#configs.set(name, owner)
    const entry = this.#enter(path, fromNothing)
    entry.owners.add(owner)
    owner.files.add(entry.file)
    await Promise.all([entry.file.ready, this.#placeInFolders(entry)])
    if (fromNothing) entry.file.touched('unknown')
  }

  #glanceAfter(pause: number): void {
    this.#poll = setTimeout(() => void this.#glanceInTurn(), pause)
  }

  async #glanceInTurn(): Promise<void> {
    await this.#glanceAll()
    if (this.#closing === undefined) this.#glanceAfter(Math.max(this.#period, Math.min(LONGEST_REST, REST * this.#entries.size)))
  }

  async #glanceAll(): Promise<void> {
    const entries = Array.from(this.#entries.values())
    while (entries.length > 0 && !this.#closing) {
      const some = entries.splice(-GLANCES).map(async (entry) => {
        // An event was lost, so the watch itself may be: on a folder that was replaced, or was not there before.
        if (await entry.file.glance()) for (const folder of entry.folders) void folder.check()
      })
      await Promise.all(some)
    }
    for (const place of this.#places.values()) {
      await this.#folders.get(place.path)?.check()
      await place.glance()
    }
    for (const folder of this.#configDirs) {
      await this.#folders.get(folder)?.check()
      await this.#readConfigDir(folder)
    }
  }
}
