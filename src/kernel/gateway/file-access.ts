/** Files on a plugin's behalf: the kernel reads and writes them where the plugin may, wherever links lead. */
import { constants } from 'node:fs'
import { type FileHandle, lstat, mkdir, realpath, rename } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { assertWritable } from '../../arguments.js'
import { PlugbayError } from '../../errors.js'
import { entryFor, toAllow } from '../../permission-set.js'
import { SMALL } from '../../sandbox/conversation/held-answer.js'
import { entryText } from '../../sandbox/folder-listing.js'
import type { Grants } from '../../sandbox/permissions/grants.js'
import type { FileKind, KernelVerbs } from '../../sandbox/protocol.js'
import { codeOf } from '../../wire-error.js'
import { within } from '../../within.js'
import type { Claim } from '../limits/room.js'
import { type Held, hold, listHeld, openHeld, removeHeld } from './held-folder.js'

type FileRequest = KernelVerbs['file']['asks']
type Access = 'read' | 'write'

/** Bytes of one file that cross at once. */
const MAX_FILE = 64 * 1_024 * 1_024
/** Bytes of the names in one folder that cross at once. */
const MAX_LISTING = 8 * 1_024 * 1_024
/** Characters of a path. No system has longer ones, and to take one apart is the longer the longer it is. */
const MAX_PATH = 4_096
/** Bytes that are read at once of what does not say its size. */
const CHUNK = 64 * 1_024

const { O_RDONLY, O_WRONLY, O_CREAT, O_APPEND } = constants

export interface FileAccessOptions {
  plugin: string
  /** The plugin's own folder, which it may read. */
  root: string
  /** Its folder for data, which it may read and write; relative paths are relative to it. */
  dataDir: string
  grants: Grants['fs']
  /** Told of each denial. */
  denied(resource: string, action: Access): void
  /** Told of each file beyond its own folders that it reached. */
  used?: ((resource: string, action: Access) => void) | undefined
  /** Bytes of the names in one folder that are listed at once. */
  listing?: number
}

/**
 * Where a path leads, all links followed; its last parts need not be there yet. Undefined for a link that leads nowhere: nobody knows what
 * it will mean.
 */
const destinationOf = async (path: string): Promise<string | undefined> => {
  try {
    return await realpath(path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' || dirname(path) === path) throw error
  }
  const linked = lstat(path).then(
    () => true,
    () => false,
  )
  const [folder, isLink] = await Promise.all([destinationOf(dirname(path)), linked])
  return folder === undefined || isLink ? undefined : join(folder, basename(path))
}

/** The entry itself, be it a link or not. */
const entryOf = async (path: string): Promise<string | undefined> => {
  const folder = await destinationOf(dirname(path))
  return folder === undefined ? undefined : join(folder, basename(path))
}

/** What is large is moved to the plugin, not copied. */
const handedOver = (bytes: Uint8Array<ArrayBuffer>, claim: Claim): Uint8Array => {
  if (bytes.length > SMALL) claim.moves(bytes.buffer)
  return bytes
}

const kindOf = (entry: { isFile(): boolean; isDirectory(): boolean }): FileKind =>
  entry.isFile() ? 'file' : entry.isDirectory() ? 'folder' : 'other'

export class FileAccess {
  readonly #options: FileAccessOptions
  /** What it may without a permission. */
  readonly #own: Record<Access, string[]>
  readonly #folders: Record<Access, string[]>

  constructor(options: FileAccessOptions) {
    this.#options = options
    const { root, dataDir, grants } = options
    this.#own = { read: [root, dataDir], write: [dataDir] }
    this.#folders = { read: [...this.#own.read, ...grants.read], write: [...this.#own.write, ...grants.write] }
  }

  /**
   * Does what is asked; `claim` is of the room for its answer. Rejects with PERMISSION_DENIED, PAYLOAD_TOO_LARGE, FILE_KIND, or as the file
   * system does (`code` ENOENT, EEXIST, …).
   */
  async run({ act, path, to, data: given }: FileRequest, claim: Claim): Promise<unknown> {
    const data = given ?? ''
    assertWritable(data, `fs.${act}()`)
    for (const each of [path, to ?? '']) if (each.length > MAX_PATH) throw this.#tooLong(act, each)
    switch (act) {
      case 'readFile':
        return this.#at('read', path, destinationOf, (held) =>
          this.#withFile(held, 'read', path, O_RDONLY, (file, size) => this.#read(file, size, path, claim)),
        )
      case 'readdir':
        return this.#at('read', path, destinationOf, (held) => this.#list(held, path, claim))
      case 'stat':
        return this.#at('read', path, destinationOf, async (held) => {
          const stats = await lstat(held.path)
          return { kind: kindOf(stats), size: stats.size, modified: stats.mtime }
        })
      case 'writeFile':
        return this.#at('write', path, destinationOf, (held) =>
          this.#withFile(held, 'write', path, O_WRONLY | O_CREAT, async (file, size) => {
            if (size > 0) await file.truncate()
            await file.writeFile(data)
          }),
        )
      case 'appendFile':
        return this.#at('write', path, destinationOf, (held) =>
          this.#withFile(held, 'write', path, O_WRONLY | O_CREAT | O_APPEND, (file) => file.appendFile(data)),
        )
      case 'mkdir':
        return this.#makeFolder(path)
      case 'rm':
        return this.#at('write', path, entryOf, removeHeld)
      case 'rename':
        return this.#at('write', path, entryOf, (from) => this.#at('write', to ?? '', entryOf, (target) => rename(from.path, target.path)))
      default:
        throw new PlugbayError(
          'VERB_UNKNOWN',
          `The kernel does not know '${String(act)}', which plugin '${this.#options.plugin}' asked to do with a file.`,
        )
    }
  }

  /**
   * Has `act` done where the path leads, if the plugin may: asked of the path, and again of the folder that was opened, which nobody swaps
   * any more.
   */
  async #at<Outcome>(action: Access, path: string, find: typeof destinationOf, act: (held: Held) => Promise<Outcome>): Promise<Outcome> {
    const wanted = resolve(this.#options.dataDir, path)
    const real = await find(wanted)
    const by = real === undefined ? undefined : await this.#openedBy(action, real)
    if (real === undefined || by === undefined) throw this.#denied(action, wanted, real)
    if (!this.#own[action].includes(by)) this.#options.used?.(`fs:${real}`, action)
    return hold(real, async (held) => {
      if (held.real !== real && (await this.#openedBy(action, held.real)) === undefined) throw this.#denied(action, wanted, held.real)
      return act(held)
    })
  }

  /**
   * Which folder of the plugin's opens a real path. In it by their names, there is no link on the way; only where that is so of none, it is
   * asked where they are.
   */
  async #openedBy(action: Access, real: string): Promise<string | undefined> {
    const folders = this.#folders[action]
    const named = folders.find((folder) => folder === '*' || within(folder, real))
    if (named !== undefined) return named
    const roots = await Promise.all(folders.map((folder) => this.#rootOf(folder)))
    return folders.find((_, at) => within(roots[at] as string, real))
  }

  /**
   * Where a folder of the plugin's is. In one that it writes to it could be turned into a link to anywhere: there it is what its name says.
   */
  async #rootOf(folder: string): Promise<string> {
    const outer = this.#folders.write.filter((each) => each !== folder && each !== '*' && within(each, folder))
    const [outermost] = outer.sort((a, b) => a.length - b.length)
    const realOf = (path: string): Promise<string> => realpath(path).catch(() => path)
    return outermost === undefined ? realOf(folder) : join(await realOf(outermost), relative(outermost, folder))
  }

  /** With all folders on the way, one in the other. */
  async #makeFolder(path: string): Promise<void> {
    const make = (wanted: string): Promise<void> =>
      this.#at('write', wanted, destinationOf, async (held) => {
        await mkdir(held.path).catch(async (error: unknown) => {
          if (codeOf(error) !== 'EEXIST' || !(await lstat(held.path)).isDirectory()) throw error
        })
      })
    const makeAll = async (wanted: string): Promise<void> => {
      try {
        await make(wanted)
      } catch (error) {
        if (codeOf(error) !== 'ENOENT' || dirname(wanted) === wanted) throw error
        if (!(await this.#makeAbove(wanted))) await makeAll(dirname(wanted))
        await make(wanted)
      }
    }
    await makeAll(resolve(this.#options.dataDir, path))
  }

  /** What lies above a folder of the plugin's: nobody but the kernel could have made that. False: `wanted` is not such a folder. */
  async #makeAbove(wanted: string): Promise<boolean> {
    if (!this.#folders.write.includes(wanted) || this.#folders.write.some((folder) => folder !== wanted && within(folder, wanted)))
      return false
    await mkdir(dirname(wanted), { recursive: true })
    return true
  }

  /** Opens it for `act`: a file, and nothing that keeps whoever reads it waiting. */
  async #withFile<Outcome>(
    held: Held,
    action: Access,
    path: string,
    mode: number,
    act: (file: FileHandle, size: number) => Promise<Outcome>,
  ): Promise<Outcome> {
    const file = await openHeld(held, mode).catch((error: unknown) => {
      // A pipe that nobody reads, or a socket.
      throw codeOf(error) === 'ENXIO' ? this.#noFile(action, path, error) : error
    })
    if (file === undefined) throw this.#denied(action, resolve(this.#options.dataDir, path), held.real)
    try {
      const stats = await file.stat()
      // Of a folder the system says so itself.
      if (!stats.isFile() && !stats.isDirectory()) throw this.#noFile(action, path)
      return await act(file, stats.size)
    } finally {
      await file.close()
    }
  }

  /** All of it. What its size says is not believed: it grows meanwhile, or is made as it is read. */
  async #read(file: FileHandle, size: number, path: string, claim: Claim): Promise<Uint8Array> {
    if (size > MAX_FILE) throw this.#tooLarge(size, path)
    await claim.grow(size)
    // Of a file that is as it says, no byte is moved: what is read is what the plugin gets.
    let bytes = Buffer.allocUnsafeSlow(Math.max(size, CHUNK))
    const beyond = Buffer.alloc(1)
    let length = 0
    for (;;) {
      const { bytesRead } = await file.readv([bytes.subarray(length), beyond])
      const most = bytes.length
      length += bytesRead
      if (length > MAX_FILE) throw this.#tooLarge(length, path)
      // More was asked for than it had: that is its end. What has no size is read until there is nothing more.
      if (bytesRead === 0 || length === size) break
      if (length <= most) continue
      const larger = Math.min(2 * most, MAX_FILE)
      await claim.grow(larger)
      bytes = Buffer.concat([bytes, beyond], larger)
    }
    const read = length === bytes.length ? new Uint8Array(bytes.buffer) : new Uint8Array(bytes.subarray(0, length))
    return handedOver(read, claim)
  }

  /** The text of a listing. */
  async #list(held: Held, path: string, claim: Claim): Promise<Uint8Array> {
    const parts: Uint8Array[] = []
    let length = 0
    let room = SMALL
    await listHeld(held, async (entries) => {
      const part = Buffer.from(entries.map((entry) => entryText({ name: entry.name, kind: kindOf(entry) })).join(''))
      parts.push(part)
      length += part.length
      if (length > this.#listing) throw this.#tooMany(path)
      if (length > room) await claim.grow((room = 2 * length))
    })
    const listing = new Uint8Array(length)
    let at = 0
    for (const part of parts) {
      listing.set(part, at)
      at += part.length
    }
    return handedOver(listing, claim)
  }

  #denied(action: Access, wanted: string, real: string | undefined): PlugbayError {
    this.#options.denied(`fs:${wanted}`, action)
    return this.#denial(action, wanted, real)
  }

  #noFile(action: Access, path: string, cause?: unknown): PlugbayError {
    const { plugin } = this.#options
    return new PlugbayError(
      'FILE_KIND',
      `Plugin '${plugin}' may not ${action} '${path}' by ctx.fs: it is a pipe, a socket or a device, which can keep whoever opens it waiting for ever. Use a file.`,
      { plugin, cause, details: { path } },
    )
  }

  #denial(action: Access, wanted: string, real: string | undefined): PlugbayError {
    const { plugin } = this.#options
    const leads = real === undefined ? ', a link that leads nowhere' : real === wanted ? '' : `, which leads to '${real}'`
    const own = action === 'read' ? 'its own folder and its data folder' : 'its data folder'
    return new PlugbayError(
      'PERMISSION_DENIED',
      `Plugin '${plugin}' may not ${action} '${wanted}'${leads}: it may ${action} ${own}, and what its permissions name. ` +
        toAllow(entryFor(`fs:${real ?? wanted}`, action)),
      { plugin, details: { resource: `fs:${wanted}`, action } },
    )
  }

  #tooLong(act: string, path: string): PlugbayError {
    const { plugin } = this.#options
    return new PlugbayError(
      'PAYLOAD_TOO_LARGE',
      `Plugin '${plugin}' called fs.${act}() with a path of ${path.length} characters, '${path.slice(0, 40)}…': the limit is ${MAX_PATH}. What is to be written is the second argument.`,
      { plugin, details: { size: path.length, limit: MAX_PATH } },
    )
  }

  get #listing(): number {
    return this.#options.listing ?? MAX_LISTING
  }

  #tooMany(path: string): PlugbayError {
    const { plugin } = this.#options
    return new PlugbayError(
      'PAYLOAD_TOO_LARGE',
      `Plugin '${plugin}' may not list '${path}' at once: the names in it take more than ${this.#listing} bytes. Keep what is in it in several folders, or grant the plugin the module 'node:fs'.`,
      { plugin, details: { limit: this.#listing } },
    )
  }

  #tooLarge(size: number, path: string): PlugbayError {
    const { plugin } = this.#options
    return new PlugbayError(
      'PAYLOAD_TOO_LARGE',
      `Plugin '${plugin}' may not read '${path}' at once: it has ${size} bytes, and the limit is ${MAX_FILE}. Keep it in smaller files, or grant the plugin the module 'node:fs'.`,
      { plugin, details: { size, limit: MAX_FILE } },
    )
  }
}
