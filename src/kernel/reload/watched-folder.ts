/**
 * One folder under watch through chokidar: says at once that something in it stirred, and opens itself anew when it is replaced, or comes
 * back.
 */
import { stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { FSWatcher } from 'chokidar'

/** What is known of a stir: the name in the folder (undefined: anything may have changed), and what happened to that entry. */
export type Stir = (name: string | undefined, how: 'put' | 'write' | 'unknown') => void

export interface WatchedFolderOptions {
  onStir: Stir
  /** Which entries chokidar shall watch by themselves; the folder alone tells enough on most systems. */
  isWatched: (path: string) => boolean
  /** Whether it is waited for while it is not there: the folder above it is watched then. */
  isAwaited: () => boolean
  onFault: (error: unknown) => void
}

export class WatchedFolder {
  readonly path: string
  /** How many watched things rely on this folder. */
  uses = 0
  readonly #options: WatchedFolderOptions
  #inode: bigint | undefined
  #watcher: FSWatcher | undefined
  /** Watched as long as nothing is here. */
  #above: WatchedFolder | undefined
  #opening: Promise<void>
  #closed = false

  constructor(path: string, options: WatchedFolderOptions) {
    this.path = path
    this.#options = options
    this.#opening = this.#open()
  }

  /** Settles once changes are seen, or once it is known that the folder is not there. */
  get ready(): Promise<void> {
    return this.#opening
  }

  /** Opens the watch anew if another folder, or none, or one at last, is at the path now. */
  check(): Promise<void> {
    this.#opening = this.#opening.then(async () => {
      const inode = await this.#inodeNow()
      if (inode === this.#inode || this.#closed) return
      await this.#watcher?.close()
      this.#watcher = undefined
      await this.#open()
      this.#options.onStir(undefined, 'unknown')
    })
    return this.#opening
  }

  async #inodeNow(): Promise<bigint | undefined> {
    const stats = await stat(this.path, { bigint: true }).catch(() => undefined)
    return stats?.isDirectory() ? stats.ino : undefined
  }

  async #open(): Promise<void> {
    this.#inode = await this.#inodeNow()
    if (this.#inode === undefined) await this.#lookOut()
    if (this.#inode === undefined || this.#closed) return
    await this.#above?.close()
    this.#above = undefined
    const { watch } = await import('chokidar')
    if (this.#closed) return
    const watcher = watch(this.path, {
      depth: 0,
      ignoreInitial: true,
      ignorePermissionErrors: true,
      // Its normalisation holds back what we want to see at once; WatchedFile has its own.
      atomic: false,
      ignored: (path) => path !== this.path && !this.#options.isWatched(path),
    })
    this.#watcher = watcher
    watcher.on('error', (error) => this.#options.onFault(error))
    // 'raw' comes first and is not throttled; 'all' is what comes where polling stands in for it.
    watcher.on('raw', (event, name, details: unknown) => this.#raw(event, name, details))
    watcher.on('all', (_, path) => this.#options.onStir(basename(path), 'unknown'))
    await new Promise<void>((resolve) => watcher.once('ready', resolve))
  }

  /** The folder above, which may itself be waited for, tells when one comes here. */
  async #lookOut(): Promise<void> {
    const above = dirname(this.path)
    if (this.#closed || above === this.path || !this.#options.isAwaited()) return
    this.#above ??= new WatchedFolder(above, {
      onStir: (name) => {
        if (name === undefined || name === basename(this.path)) void this.check()
      },
      isWatched: (path) => path === this.path,
      isAwaited: () => true,
      onFault: this.#options.onFault,
    })
    await this.#above.ready
    // It may have come before that was watched.
    this.#inode = await this.#inodeNow()
  }

  #raw(event: string, name: unknown, details: unknown): void {
    const watched: unknown = typeof details === 'object' && details !== null ? Reflect.get(details, 'watchedPath') : undefined
    if (watched !== this.path) {
      this.#options.onStir(typeof watched === 'string' ? basename(watched) : undefined, 'unknown')
    } else if (typeof name !== 'string' || name === '') {
      this.#options.onStir(undefined, 'unknown')
    } else {
      // A folder that is moved or removed reports its own name, then nothing more.
      if (name === basename(this.path)) void this.check()
      this.#options.onStir(name, event === 'rename' ? 'put' : 'write')
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#opening
    await this.#watcher?.close()
    await this.#above?.close()
  }
}
