import fs from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import sqlite from 'node-sqlite3-wasm'
import { createTestKernel } from 'plugbay/testing'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { SqliteFile } from './sqlite-file.js'

const plugin = new URL('.', import.meta.url)
let kernel
const start = async (options) => {
  kernel = await createTestKernel({ plugins: plugin, ...options })
  return kernel.services.use('database')
}
afterEach(() => kernel?.stop())

describe('the service', () => {
  test('runs statements, gets a row, all rows, or null', async () => {
    const database = await start()
    await database.exec('CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT); CREATE INDEX by_text ON notes (text)')
    expect(await database.run('INSERT INTO notes (text) VALUES (?)', ['one'])).toEqual({ changes: 1, lastInsertRowid: 1 })
    await database.run('INSERT INTO notes (text) VALUES (:text)', { ':text': 'two' })
    expect(await database.get('SELECT * FROM notes WHERE text = ?', ['two'])).toEqual({ id: 2, text: 'two' })
    expect(await database.get('SELECT * FROM notes WHERE text = ?', ['three'])).toBeNull()
    expect(await database.all('SELECT text FROM notes ORDER BY id')).toEqual([{ text: 'one' }, { text: 'two' }])
  })

  test('a transaction that fails changes nothing', async () => {
    const database = await start()
    await database.exec('CREATE TABLE notes (text TEXT UNIQUE)')
    const insert = { sql: 'INSERT INTO notes VALUES (?)', values: ['same'] }
    await expect(database.transaction([insert, insert])).rejects.toThrow('UNIQUE')
    expect(await database.all('SELECT * FROM notes')).toEqual([])
    expect(await database.transaction([insert])).toHaveLength(1)
  })

  test('an error in a statement reaches the caller, and the next call works', async () => {
    const database = await start()
    await expect(database.all('SELECT nonsense')).rejects.toThrow('no such column: nonsense')
    expect(await database.get('SELECT 1 AS one')).toEqual({ one: 1 })
  })

  test('a migration step runs once; a step that fails leaves none of its statements', async () => {
    const database = await start()
    const steps = ['CREATE TABLE notes (text TEXT)', 'ALTER TABLE notes ADD COLUMN at TEXT']
    expect(await database.migrate('notes', steps.slice(0, 1))).toBe(1)
    expect(await database.migrate('notes', steps)).toBe(1)
    expect(await database.migrate('notes', steps)).toBe(0)
    await expect(database.migrate('notes', [...steps, 'CREATE TABLE tags (name TEXT); SELECT nonsense'])).rejects.toThrow('nonsense')
    await expect(database.all('SELECT * FROM tags')).rejects.toThrow('no such table')
    await expect(database.migrate('notes', steps.slice(0, 1))).rejects.toThrow('newer version')
  })

  test('it is healthy', async () => {
    await start()
    expect(await kernel.kernel.health('database')).toMatchObject({ healthy: true })
  })
})

test('a replacement under a stream of writes fails no call and loses no row', async () => {
  const database = await start({ isolation: 'thread' })
  await database.exec('CREATE TABLE counted (n INTEGER PRIMARY KEY)')
  let n = 0
  let on = true
  const writer = async () => {
    while (on) await database.run('INSERT INTO counted VALUES (?)', [++n])
  }
  const writers = [writer(), writer(), writer()]
  await kernel.kernel.reload('database')
  await kernel.kernel.reload('database')
  on = false
  await Promise.all(writers)
  expect(await database.get('SELECT count(*) AS count FROM counted')).toEqual({ count: n })
  expect(kernel.kernel.plugins()[0].generation).toBe(3)
  kernel.expectNoFaults()
})

describe('after a crash', () => {
  const folder = async () => {
    kernel = await createTestKernel()
    const path = join(kernel.dataDir, 'crash')
    await mkdir(path, { recursive: true })
    return join(path, 'file.sqlite')
  }

  test('a lock that was left behind is broken when its time is over', async () => {
    const path = await folder()
    fs.mkdirSync(`${path}.lock`)
    const warnings = []
    const file = new SqliteFile(path, 50, (message) => warnings.push(message))
    await file.open()
    expect(await file.use((db) => db.get('SELECT 1 AS one'))).toEqual({ one: 1 })
    await file.close()
    expect(warnings).toEqual([expect.stringContaining('left behind')])
  })

  test('a lock of an earlier process is broken at once', async () => {
    const path = await folder()
    fs.mkdirSync(`${path}.lock`)
    fs.utimesSync(`${path}.lock`, 1, 1)
    const file = new SqliteFile(path, 2 ** 31, () => {})
    await file.open()
    expect(await file.use((db) => db.get('SELECT 1 AS one'))).toEqual({ one: 1 })
    await file.close()
  })

  test('a lock that is held is waited for', async () => {
    const path = await folder()
    const file = new SqliteFile(path, 60_000, () => {})
    await file.open()
    const other = new sqlite.Database(path)
    other.exec('BEGIN IMMEDIATE')
    const looks = vi.spyOn(fs, 'statSync')
    let answered = false
    const answer = file
      .use((db) => db.get('SELECT 1 AS one'))
      .then((row) => {
        answered = true
        return row
      })
    await vi.waitFor(() => expect(looks.mock.calls.length).toBeGreaterThan(2), 10_000)
    looks.mockRestore()
    expect(answered).toBe(false)
    other.exec('COMMIT')
    expect(await answer).toEqual({ one: 1 })
    other.close()
    await file.close()
  })

  test('a transaction that was cut off is undone', async () => {
    const path = await folder()
    const torn = join(kernel.dataDir, 'crash', 'torn.sqlite')
    const db = new sqlite.Database(path)
    // A small cache writes pages before the commit: that is what a crash tears.
    db.exec('CREATE TABLE rows (x, y); PRAGMA cache_size = 5; BEGIN')
    for (let i = 0; i < 1000; i++) db.run('INSERT INTO rows VALUES (1, ?)', ['.'.repeat(200)])
    db.exec('COMMIT; BEGIN; UPDATE rows SET x = 2')
    fs.copyFileSync(path, torn)
    fs.copyFileSync(`${path}-journal`, `${torn}-journal`)
    db.close()

    const file = new SqliteFile(torn, 1000, () => {})
    await file.open()
    expect(await file.use((reopened) => reopened.all('SELECT x, count(*) AS count FROM rows GROUP BY x'))).toEqual([{ x: 1, count: 1000 }])
    await file.close()
  })
})
