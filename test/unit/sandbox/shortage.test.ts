/** Places that the system has nothing for. */
import { expect, test } from 'vitest'
import { shortageOf } from '#src/sandbox/shortage.js'
import { built, withFewDescriptors } from '../../support/few-descriptors.js'

test.skipIf(process.platform === 'win32')('a thread that does not come up for want of a descriptor says so of its end', async () => {
  const exit = await withFewDescriptors(`
    import { Standby } from ${built('sandbox/host/standby.js')}
    import { ThreadHost } from ${built('sandbox/host/thread.js')}
    const standby = new Standby(0)
    const first = new ThreadHost(standby)
    await first.kill('what it takes was loaded')
    exhaust()
    console.log(JSON.stringify(await new ThreadHost(standby).exited))`)
  expect(exit).toMatchObject({ expected: false, shortage: 'EMFILE' })
})

test.skipIf(process.platform === 'win32')('a process that the system does not let begin is told of where it is started', async () => {
  const code = await withFewDescriptors(`
    import { ChildProcess } from 'node:child_process'
    import { constants } from 'node:os'
    import { NO_GRANTS as grants } from ${built('sandbox/permissions/grants.js')}
    import { ProcessHost } from ${built('sandbox/host/process.js')}
    const host = await ProcessHost.make({ root: '/', dataDir: '/', packages: [], grants, memory: 64, needsHooks: false, inspected: false })
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
