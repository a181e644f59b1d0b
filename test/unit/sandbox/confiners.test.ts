/** What of the system's commands is found, in a process that cannot start any for a while. */
import { expect, test } from 'vitest'
import { built, withFewDescriptors } from '../../support/few-descriptors.js'

test.runIf(process.platform === 'linux')(
  'a command that cannot be tried for want of a descriptor is not taken for one that is not there',
  async () => {
    const told = await withFewDescriptors(`
      import { confiners } from ${built('sandbox/host/confiners.js')}
      const giveBack = exhaust()
      const during = await confiners().catch(({ code }) => code)
      giveBack()
      console.log(JSON.stringify({ during, after: await confiners() }))`)
    expect(told).toEqual({ during: 'EMFILE', after: expect.objectContaining({ bwrap: expect.any(Boolean) }) })
  },
)

test.runIf(process.platform === 'linux')(
  'a command that does not answer in time is not taken for one that is not there by the next who asks',
  async () => {
    const told = await withFewDescriptors(`
    import { ChildProcess } from 'node:child_process'
    import { confiners } from ${built('sandbox/host/confiners.js')}
    const { spawn } = ChildProcess.prototype
    let busy = true
    ChildProcess.prototype.spawn = function (options) {
      // As one that is slow to answer, which the probe's own time limit ends, and then as one that works.
      const result = spawn.call(this, { ...options, file: '/bin/sleep', args: busy ? ['sleep', '1000'] : ['sleep', '0'] })
      if (busy) this.kill()
      return result
    }
    const during = await confiners()
    busy = false
    // Where this machine is busy, too, one may be late again.
    let after = await confiners()
    for (let times = 0; times < 20 && Object.values(after).includes(false); times++) after = await confiners()
    console.log(JSON.stringify({ during, after }))`)
    const all = (works: boolean) => ({ prlimit: works, setpriv: works, bwrap: works, sizes: works, shuts: works })
    expect(told).toEqual({ during: all(false), after: all(true) })
  },
)
