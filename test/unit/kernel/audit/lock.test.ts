/** The lock of an audit folder, with real threads: one holds it, whatever name it has and however many find it left behind. */
import { readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { lockFolder } from '#src/kernel/audit/lock.js'
import { root } from '../../../support/command.js'
import { emptyFolder } from '../../../support/plugin-folder.js'

const linux = process.platform === 'linux'

/** A thread with a lock module of its own. Asked for a folder, it says whether it got it; asked for nothing, it lets go of what it has. */
class OtherThread {
  readonly worker = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads')
    const lock = import(workerData)
    let unlock = async () => {}
    parentPort.on('message', async (dir) => {
      const { lockFolder } = await lock
      if (dir === undefined) {
        await unlock()
        unlock = async () => {}
        return parentPort.postMessage('let go')
      }
      parentPort.postMessage(await lockFolder(dir).then((undo) => ((unlock = undo), 'has it'), (error) => error.message))
    })`,
    { eval: true, workerData: pathToFileURL(join(root, 'dist/kernel/audit/lock.js')).href },
  )

  constructor() {
    onTestFinished(() => void this.worker.terminate())
  }

  asks(dir: string | undefined): Promise<string> {
    return new Promise((resolve) => {
      this.worker.once('message', resolve)
      this.worker.postMessage(dir)
    })
  }
}

const IN_USE = 'another kernel of this process writes to it already. Give each kernel an audit folder of its own (audit.dir)'

test('a folder has one holder, under whatever name it is asked for', async () => {
  const dir = emptyFolder()
  const other = join(emptyFolder(), 'link')
  symlinkSync(dir, other, 'junction')
  const unlock = await lockFolder(dir)
  await expect(lockFolder(other)).rejects.toThrow(IN_USE)
  await unlock()
  const again = await lockFolder(other)
  await expect(lockFolder(dir)).rejects.toThrow(IN_USE)
  await again()
  expect(readdirSync(dir)).toEqual([])
})

test('another thread of this process is kept out, and has the folder once it is let go', async () => {
  const dir = emptyFolder()
  const thread = new OtherThread()
  const unlock = await lockFolder(dir)
  expect(await thread.asks(dir)).toBe(IN_USE)
  await unlock()
  expect(await thread.asks(dir)).toBe('has it')
  await expect(lockFolder(dir)).rejects.toThrow(IN_USE)
  await thread.asks(undefined)
  await (await lockFolder(dir))()
})

test.runIf(linux)('what a thread held that was ended is free', async () => {
  const dir = emptyFolder()
  const thread = new OtherThread()
  expect(await thread.asks(dir)).toBe('has it')
  await thread.worker.terminate()
  await (await lockFolder(dir))()
})

test.runIf(linux)('a process that has the number of the holder is not the holder', async () => {
  const dir = emptyFolder()
  const unlock = await lockFolder(dir)
  const held = JSON.parse(readFileSync(join(dir, 'lock'), 'utf8')) as object
  await unlock()
  for (const pid of [process.pid, process.ppid]) {
    writeFileSync(join(dir, 'lock'), JSON.stringify({ ...held, pid, thread: pid, started: 'an-earlier-boot:1' }))
    await (await lockFolder(dir))()
  }
  expect(readdirSync(dir)).toEqual([])
})

test('a lock that was not written to its end holds nobody', async () => {
  const dir = emptyFolder()
  for (const text of ['', `${process.ppid}\n`, '{"pid":1,']) {
    writeFileSync(join(dir, 'lock'), text)
    await (await lockFolder(dir))()
  }
  expect(readdirSync(dir)).toEqual([])
})

test('of many that find the same lock left behind one gets the folder', async () => {
  const dir = emptyFolder()
  const threads = [new OtherThread(), new OtherThread(), new OtherThread()]
  const all = (what: string | undefined): Promise<string[]> => Promise.all(threads.map((thread) => thread.asks(what)))
  for (let round = 0; round < 25; round++) {
    // The same text each time: what one judged in an earlier round is no longer so.
    writeFileSync(join(dir, 'lock'), 'left behind')
    expect((await all(dir)).sort()).toEqual(['has it', IN_USE, IN_USE].sort())
    expect(readdirSync(dir)).toEqual(['lock'])
    await all(undefined)
  }
})
