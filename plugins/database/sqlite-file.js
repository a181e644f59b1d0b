/** One SQLite file, used by one statement or transaction at a time, also beside another generation and after a crash. */
import fs from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import sqlite from 'node-sqlite3-wasm'

/** Milliseconds between two tries for a lock that somebody else holds. */
const RETRY = 5

const startOfProcess = Date.now() - process.uptime() * 1000

export class SqliteFile {
  #path
  #lock
  #lockTimeout
  #warn
  #db
  #turn = Promise.resolve()

  /**
   * @param {string} path
   * @param {number} lockTimeout Milliseconds after which a lock that never moved is taken for one left behind.
   * @param {(message: string) => void} warn
   */
  constructor(path, lockTimeout, warn) {
    this.#path = path
    // node-sqlite3-wasm locks a file with a folder beside it, for readers too, and takes no notice of who made it.
    this.#lock = `${path}.lock`
    this.#lockTimeout = lockTimeout
    this.#warn = warn
  }

  /** Opens the file, and first undoes what a crash left half done. */
  async open() {
    this.#db = new sqlite.Database(this.#path)
    await this.#inTurn(() => this.#recover())
  }

  /**
   * Runs `act` with the database in a transaction, after all that was asked for before. `act` must not wait for anything: the lock is
   * held for as long as it runs. What it throws undoes the transaction.
   * @template T
   * @param {(db: any) => T} act
   * @returns {Promise<T>}
   */
  use(act) {
    return this.#inTurn(() => this.#transact(act))
  }

  #transact(act) {
    const db = this.#db
    db.exec('BEGIN IMMEDIATE')
    try {
      const result = act(db)
      db.exec('COMMIT')
      return result
    } catch (error) {
      if (db.inTransaction) db.exec('ROLLBACK')
      throw error
    }
  }

  #inTurn(act) {
    const done = this.#turn.then(() => this.#whenFree(act))
    this.#turn = done.catch(() => {})
    return done
  }

  /** Another generation holds the lock for one transaction at most: wait for it, but not for one that died. */
  async #whenFree(act) {
    for (;;) {
      try {
        return act()
      } catch (error) {
        if (!/database is locked/.test(String(error))) throw error
      }
      if (this.#isLeftBehind()) await this.#breakLock()
      else await delay(RETRY)
    }
  }

  /** A lock older than this process cannot be of a living generation: a data folder belongs to one kernel. */
  #isLeftBehind() {
    const made = fs.statSync(this.#lock, { throwIfNoEntry: false })?.mtimeMs
    return made !== undefined && (made < startOfProcess || Date.now() - made > this.#lockTimeout)
  }

  async #breakLock() {
    this.#warn(`A lock that a crash left behind was removed: ${this.#lock}`)
    fs.rmSync(this.#lock, { recursive: true, force: true })
    await this.#whenFree(() => this.#recover())
  }

  /**
   * Rolls back a transaction that a crash cut off. SQLite does so when it finds a journal and no lock of a writer, but node-sqlite3-wasm
   * reports the lock we have just taken as somebody else's, and the torn pages would stay. While we hold the lock nobody else does.
   */
  #recover() {
    if (!fs.existsSync(`${this.#path}-journal`)) return
    const { accessSync } = fs
    fs.accessSync = (path, mode) => {
      if (path === this.#lock) throw Object.assign(new Error(`${path} is our own`), { code: 'ENOENT' })
      accessSync(path, mode)
    }
    try {
      this.#db.get('SELECT count(*) FROM sqlite_master')
    } finally {
      fs.accessSync = accessSync
    }
  }

  async close() {
    await this.#turn
    this.#db?.close()
    this.#db = undefined
  }
}
