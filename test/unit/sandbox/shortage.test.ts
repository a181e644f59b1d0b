/** Places that the system has nothing for. */
import { execFile } from 'node:child_process'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { shortageOf } from '#src/sandbox/shortage.js'
import { root } from '../../support/command.js'

const HOST = pathToFileURL(`${root}/dist/sandbox/host/`).href

/** What a program prints that has few descriptors. */
const told = async (program: string): Promise<unknown> => {
  const { stdout } = await promisify(execFile)('/bin/sh', [
    '-c',
    'ulimit -n 512; exec "$0" --input-type=module -e "$1"',
    process.execPath,
    program,
  ])
  return JSON.parse(stdout)
}

test.skipIf(process.platform === 'win32')('a thread that does not come up for want of a descriptor says so of its end', async () => {
  const exit = await told(`
    import { openSync } from 'node:fs'
    import { Standby } from '${HOST}standby.js'
    import { ThreadHost } from '${HOST}thread.js'
    const standby = new Standby(0)
    const first = new ThreadHost(standby)
    await first.kill('what it takes was loaded')
    try { for (;;) openSync('/dev/null') } catch {}
    console.log(JSON.stringify(await new ThreadHost(standby).exited))`)
  expect(exit).toMatchObject({ expected: false, shortage: 'EMFILE' })
})

test.skipIf(process.platform === 'win32')('a process that the system does not let begin is told of where it is started', async () => {
  const code = await told(`
    import { ChildProcess } from 'node:child_process'
    import { constants } from 'node:os'
    import { NO_GRANTS as grants } from '${HOST}../grants.js'
    import { ProcessHost } from '${HOST}process.js'
    const host = await ProcessHost.make({ root: '/', dataDir: '/', grants, memory: 64, needsHooks: false, inspected: false })
    const { spawn } = ChildProcess.prototype
    ChildProcess.prototype.spawn = function (options) {
      const { spawn: begin } = this._handle
      this._handle.spawn = (...order) => begin.apply(this._handle, order) && -constants.errno.EAGAIN
      return spawn.call(this, { ...options, cwd: '/nowhere' })
    }
    console.log(JSON.stringify(await host.start(new AbortController().signal).catch(({ code }) => code)))`)
  expect(code).toBe('EAGAIN')
})

test('what a plugin throws of its own is no shortage', () => {
  expect(shortageOf(Object.assign(new Error('no such file'), { code: 'ENOENT' }))).toBeUndefined()
  expect(shortageOf('EMFILE')).toBeUndefined()
})
