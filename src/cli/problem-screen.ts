/** How problems look on a screen: each with its code, what it says, and whom it takes along. */
import type { TerminalStyle } from '../kernel/text/terminal-style.js'
import { visible } from '../kernel/text/visible-text.js'
import type { ProjectProblem } from './project.js'

const indent = (text: string, by: string): string => text.split('\n').join(`\n${by}`)

export const problemScreen = (problems: readonly ProjectProblem[], style: TerminalStyle): string =>
  problems
    .map(({ error, victims }) => {
      const lines = [`${style.red('✗')} ${style.bold(error.code)}`, `  ${indent(visible(error.message), '  ')}`]
      if (victims.length > 0) lines.push(`  ${style.dim('left out with it:')} ${victims.join(', ')}`)
      return lines.join('\n')
    })
    .join('\n\n')
