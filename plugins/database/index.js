/** Keeps tables in one SQLite file and lets other plugins query it. */
import { join } from 'node:path'
import { definePlugin } from 'plugbay/plugin'
import { SqliteFile } from './sqlite-file.js'

/** @type {SqliteFile} */
let file

/** Runs the steps that have not been run for this owner yet, and the note of it, in one transaction: all or nothing. */
const migrate = (owner, steps) =>
  file.use((db) => {
    db.exec(
      'CREATE TABLE IF NOT EXISTS migrations (owner TEXT NOT NULL, step INTEGER NOT NULL, at TEXT NOT NULL, PRIMARY KEY (owner, step))',
    )
    const done = db.get('SELECT count(*) AS count FROM migrations WHERE owner = ?', [owner]).count
    if (done > steps.length) {
      throw new Error(
        `The tables of '${owner}' are at step ${done}, but only ${steps.length} steps are known: they belong to a newer version.`,
      )
    }
    for (const [index, sql] of steps.entries()) {
      if (index < done) continue
      db.exec(sql)
      db.run('INSERT INTO migrations VALUES (?, ?, ?)', [owner, index + 1, new Date().toISOString()])
    }
    return steps.length - done
  })

export default definePlugin({
  async initialize(ctx, { file: name, lockTimeout }) {
    file = new SqliteFile(join(ctx.dataDir, name), lockTimeout, (message) => ctx.log.warn(message))
    await file.open()
  },

  async start(ctx) {
    const database = {
      run: (sql, values = []) => file.use((db) => db.run(sql, values)),
      get: (sql, values = []) => file.use((db) => db.get(sql, values)),
      all: (sql, values = []) => file.use((db) => db.all(sql, values)),
      exec: (sql) => file.use((db) => db.exec(sql)),
      // All statements are given at once, so that no lock is ever held while a caller thinks.
      transaction: (statements) => file.use((db) => statements.map(({ sql, values = [] }) => db.run(sql, values))),
      migrate,
    }
    await ctx.services.provide('database', database, { version: ctx.version })
  },

  // In hand calls have been answered when this is called.
  async stop() {
    await file.close()
  },

  async health() {
    const { quick_check: answer } = await file.use((db) => db.get('PRAGMA quick_check(1)'))
    return { healthy: answer === 'ok', answer }
  },
})
