/** Colour for the terminal, and whether it is wanted. */

type Paint = (text: string) => string

/** The few styles a screen is made of. Without colour each gives its text back. */
export interface TerminalStyle {
  bold: Paint
  dim: Paint
  red: Paint
  green: Paint
  yellow: Paint
  cyan: Paint
}

const plain: Paint = (text) => text

/**
 * Whether to colour what goes to `stream`: not with NO_COLOR (https://no-color.org), else with FORCE_COLOR, else on a terminal
 * that is not a dumb one.
 */
export const wantsColor = (stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): boolean => {
  if (env.NO_COLOR) return false
  if (env.FORCE_COLOR !== undefined) return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false'
  return stream.isTTY === true && env.TERM !== 'dumb'
}

export const terminalStyle = (color: boolean): TerminalStyle => {
  const paint = (format: 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'): Paint => {
    if (!color) return plain
    // Taken when it is needed: the public entry loads this file, and to import all of node:util takes as long as all that the entry loads.
    const { styleText } = process.getBuiltinModule('node:util')
    return (text) => styleText(format, text, { validateStream: false })
  }
  return { bold: paint('bold'), dim: paint('dim'), red: paint('red'), green: paint('green'), yellow: paint('yellow'), cyan: paint('cyan') }
}
