import { cpus } from 'node:os'
import { expect, test } from 'vitest'
import { idleTimes } from '#src/sandbox/watch/processors.js'
import { built, withFewDescriptors } from '../../../support/few-descriptors.js'

test('what each processor had nothing to do is told', () => {
  expect(idleTimes()).toEqual(cpus().map(() => expect.any(Number)))
})

test.runIf(process.platform === 'linux')('nothing is told without a free descriptor, rather than what would blame somebody', async () => {
  const told = await withFewDescriptors(`
    import { readlinkSync } from 'node:fs'
    import { processCpu } from ${built('sandbox/watch/process-stat.js')}
    import { idleTimes } from ${built('sandbox/watch/processors.js')}
    import { helpersWaited, threadCpu } from ${built('sandbox/watch/thread-cpu.js')}
    import { setTimeout as delay } from 'node:timers/promises'
    const tid = Number(readlinkSync('/proc/thread-self').split('/').at(-1))
    const looks = () => [processCpu([process.pid]), threadCpu(tid), idleTimes()[0]].map((told) => told !== undefined)
    const before = helpersWaited()
    const told = [looks()]
    exhaust()
    told.push(looks())
    // What is as old as this is asked for again.
    await delay(20)
    console.log(JSON.stringify([...told, helpersWaited() >= before]))`)
  expect(told).toEqual([[true, true, true], [false, false, false], true])
})
