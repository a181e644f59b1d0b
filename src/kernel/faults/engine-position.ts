/**
 * Where the engine finds a module wrong. Its error does not say, and only a Node that ends by that error shows the place: so one is made
 * to.
 */
import { spawn } from 'node:child_process'

/** Module by module, until one is refused for the reason that is looked for. */
const COMPILE = `
const { SourceTextModule } = require('node:vm')
const { codes, reason } = JSON.parse(require('node:fs').readFileSync(0, 'utf8'))
for (const [index, code] of codes.entries()) {
  try { new SourceTextModule(code, { identifier: 'code:' + index }) } catch (error) { if (error.message === reason) throw error }
}`

/**
 * The head of what Node writes of an error that ends it: the place, the line, and marks under what is meant, unless that is the line's end.
 */
const HEAD = /^code:(\d+):(\d+)\n([^\n]*)\n([^\n]*)/

/** One that starts takes 0.1 s; on a machine that has no time for it, the place is not told. */
const PATIENCE = 20_000

export interface EnginePosition {
  /** Which of the codes, from 0. */
  index: number
  /** From 1, as the column. */
  line: number
  column: number
}

/**
 * The first of `codes`, the texts of ES modules, that the engine refuses for `reason`, and where; undefined if it takes them all, or cannot
 * be asked.
 */
export const enginePosition = (codes: readonly string[], reason: string): Promise<EnginePosition | undefined> =>
  new Promise((resolve) => {
    const { NODE_OPTIONS: _, ...env } = process.env
    const child = spawn(process.execPath, ['--experimental-vm-modules', '--no-warnings', '-e', COMPILE], {
      env,
      stdio: ['pipe', 'ignore', 'pipe'],
      timeout: PATIENCE,
      windowsHide: true,
    })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
    child.on('error', () => resolve(undefined))
    child.on('close', () => {
      const [, index, line, code = '', marks = ''] = HEAD.exec(said) ?? []
      const column = (marks.includes('^') ? marks.indexOf('^') : code.length) + 1
      resolve(index === undefined ? undefined : { index: Number(index), line: Number(line), column })
    })
    child.stdin.on('error', () => {}) // It ended before it read: its end is told above.
    child.stdin.end(JSON.stringify({ codes, reason }))
  })
