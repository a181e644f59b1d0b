/** A file of lines that gives way to a new one when it has grown: `events.log`, and before it `events.log.1`, `events.log.2` … */
import { appendFile, rename, rm, stat } from 'node:fs/promises'

export class RotatingFile {
  #path
  #maxBytes
  #keep
  #size
  #waiting = []
  #writing

  /**
   * @param {string} path
   * @param {{ maxBytes: number, keep: number }} options A file of `maxBytes` is rotated; `keep` rotated ones stay.
   */
  constructor(path, { maxBytes, keep }) {
    this.#path = path
    this.#maxBytes = maxBytes
    this.#keep = keep
  }

  /**
   * Resolves when the line is in the file.
   * @param {string} line
   */
  write(line) {
    const written = new Promise((resolve, reject) => this.#waiting.push({ line: `${line}\n`, resolve, reject }))
    this.#writing ??= this.#write()
    return written
  }

  /** Writes what has gathered, in batches that end where a file is full. */
  async #write() {
    while (this.#waiting.length > 0) {
      const batch = []
      try {
        this.#size ??= (await stat(this.#path).catch(() => ({ size: 0 }))).size
        if (this.#size >= this.#maxBytes) await this.#rotate()
        while (this.#waiting.length > 0 && this.#size < this.#maxBytes) {
          const entry = this.#waiting.shift()
          this.#size += Buffer.byteLength(entry.line)
          batch.push(entry)
        }
        await appendFile(this.#path, batch.map(({ line }) => line).join(''))
        for (const { resolve } of batch) resolve()
      } catch (error) {
        this.#size = undefined
        for (const { reject } of batch.length > 0 ? batch : this.#waiting.splice(0)) reject(error)
      }
    }
    this.#writing = undefined
  }

  async #rotate() {
    // Another generation may have done it a moment ago.
    const { size } = await stat(this.#path)
    if (size >= this.#maxBytes) {
      await rm(`${this.#path}.${this.#keep}`, { force: true })
      for (let n = this.#keep - 1; n > 0; n--) {
        await rename(`${this.#path}.${n}`, `${this.#path}.${n + 1}`).catch((error) => {
          if (error.code !== 'ENOENT') throw error
        })
      }
      if (this.#keep > 0) await rename(this.#path, `${this.#path}.1`)
      else await rm(this.#path, { force: true })
    }
    this.#size = size >= this.#maxBytes ? 0 : size
  }

  async close() {
    await this.#writing
  }
}
