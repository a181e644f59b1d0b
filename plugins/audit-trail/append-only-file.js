/** A file of lines that only grows: appended in order and in batches, read from its end. */
import { appendFile, open } from 'node:fs/promises'

const BLOCK = 64 * 1024

export class AppendOnlyFile {
  #path
  #waiting = []
  #writing

  /** @param {string} path */
  constructor(path) {
    this.#path = path
  }

  /**
   * Resolves when the line is in the file.
   * @param {string} line
   */
  append(line) {
    const written = new Promise((resolve, reject) => this.#waiting.push({ line, resolve, reject }))
    this.#writing ??= this.#write()
    return written
  }

  async #write() {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0)
      try {
        await appendFile(this.#path, `${batch.map(({ line }) => line).join('\n')}\n`)
        for (const { resolve } of batch) resolve()
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    this.#writing = undefined
  }

  /**
   * The last lines, oldest first, whatever the size of the file.
   * @param {number} count
   * @returns {Promise<string[]>}
   */
  async tail(count) {
    await this.#writing
    const file = await open(this.#path).catch((error) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    if (file === undefined) return []
    try {
      let from = (await file.stat()).size
      const blocks = []
      // One line break more than lines, so that the first of them is whole.
      for (let breaks = 0; from > 0 && breaks <= count; ) {
        const length = Math.min(BLOCK, from)
        from -= length
        const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, from)
        blocks.unshift(buffer.subarray(0, bytesRead))
        for (const byte of blocks[0]) if (byte === 10) breaks++
      }
      const lines = Buffer.concat(blocks).toString('utf8').split('\n')
      lines.pop() // what follows the last break: nothing, or a line that a crash cut off
      return lines.slice(Math.max(0, lines.length - count))
    } finally {
      await file.close()
    }
  }
}
