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
