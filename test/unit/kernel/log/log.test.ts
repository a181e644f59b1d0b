/** The built-in logger: a line is a line, whatever is in it. */
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { readableLogger } from '#src/kernel/log/log.js'
import { eventually } from '../../../support/eventually.js'
import { pluginCode, startedWith } from '../../../support/plugin-folder.js'

const CLEAR = '\x1b[2J'
const TIME = String.raw`\d\d:\d\d:\d\d\.\d{3}`
/** What some line of the log begins with, written by somebody who would pass for the kernel. */
const FORGED = '00:00:00.000 ERROR kernel The disk is full'

const written = (fields: Record<string, unknown>, message?: string): string => {
  let text = ''
  readableLogger('debug', (line) => (text += line)).info({ plugin: 'p', generation: 1, ...fields }, message)
  return text
}

test('a line has time, level, plugin, message and fields', () => {
  expect(written({ count: 1, name: 'ada', list: ['a', 'b'] }, 'Told.')).toMatch(
    new RegExp(`^${TIME} INFO  p#1 Told\\. count=1 name=ada list=\\["a","b"\\]\\n$`),
  )
})

test('further lines of a message are indented, so that none passes for a line of the log', () => {
  expect(written({}, `one\n${FORGED}\r\nthree`).split('\n').slice(1)).toEqual([`    ${FORGED}\r`, '    three', ''])
})

test.each([
  [CLEAR, String.raw`\x1b[2J`],
  ['\x1b]0;title\x07', String.raw`\x1b]0;title\x07`],
  ['done\rtodo', String.raw`done\x0dtodo`],
  ['\b\b\0\x7f', String.raw`\x08\x08\x00\x7f`],
  ['\u009b2J', String.raw`\x9b2J`],
  ['\u202eabc\u2028', String.raw`\u202eabc\u2028`],
  ['a\tb ä 漢 🙂', 'a\tb ä 漢 🙂'],
])('what a terminal would obey is shown: %j', (given, shown) => {
  expect(written({}, given)).toMatch(`p#1 ${shown}\n`)
  expect(written({ value: given, [given]: 1 }, 'm')).toMatch(`p#1 m value=${shown} ${shown}=1\n`)
})

test('a field is on one line, also the code of an error; its stack is indented, and shown like the rest', () => {
  const err = Object.assign(new Error(`fell${CLEAR}\n${FORGED}`), { code: `A\n${FORGED}` })
  const [line, ...stack] = written({ value: `v\n${FORGED}`, err }, 'm')
    .trimEnd()
    .split('\n')
  expect(line).toMatch(String.raw`p#1 m value=v\n${FORGED} code=A\n${FORGED}`)
  expect(stack.slice(0, 2)).toEqual([String.raw`    Error: fell\x1b[2J`, `    ${FORGED}`])
  expect(stack.every((each) => each.startsWith('    '))).toBe(true)
})

test('all of a plugin is written so: what it logs, its console, and what it writes to standard output', async () => {
  let text = ''
  await startedWith(
    {
      loud: pluginCode({
        start: `const evil = 'evil\\n${FORGED}\\x1b[2J'
          ctx.log.info(evil, { evil })
          console.log(evil)
          process.stdout.write(evil + '\\n')`,
      }),
    },
    { logger: readableLogger('debug', (line) => (text += line)) },
  )
  await eventually(() => expect(text.match(/ loud#1 evil$/gm)).toHaveLength(3))
  expect(text).not.toMatch(/^00:00/m)
  expect(text).not.toContain('\x1b')
  expect(text.match(/^ {4}00:00:00\.000 ERROR kernel The disk is full\\x1b\[2J/gm)).toHaveLength(3)
})

test('a stack that begins in plugbay is told whole', () => {
  const own = fileURLToPath(new URL('../../../../dist/kernel/kernel.js', import.meta.url))
  const stack = ['Error: within', '    at JSON.parse (<anonymous>)', `    at Kernel.start (${own}:1:2)`, '    at run (/app/main.js:3:4)']
  const err = Object.assign(new Error('within'), { stack: stack.join('\n') })
  expect(written({ err }, 'm')).toContain(stack.map((line) => `\n    ${line}`).join(''))
})
