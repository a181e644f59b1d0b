/** Parses YAML that people write, and says at which line and column it goes wrong. */
import type { PlugbayError } from '../../errors.js'
import { reasonOf } from '../../wire-error.js'

/** The value of a YAML text; `fail` makes the error out of the file, the place in it, and the reason. */
export const readYaml = async (
  file: string,
  text: string,
  fail: (file: string, at: { line: number; column: number } | undefined, reason: string, cause: unknown) => PlugbayError,
): Promise<unknown> => {
  const { parseDocument } = await import('yaml')
  const document = parseDocument(text, { prettyErrors: false })
  const [error] = document.errors
  if (error) {
    const before = text.slice(0, error.pos[0])
    throw fail(
      file,
      { line: before.split('\n').length, column: before.length - before.lastIndexOf('\n') },
      // What the parser says of several documents is for who calls it.
      error.code === 'MULTIPLE_DOCS'
        ? 'a second YAML document begins there: keep one, without a line --- before or after it'
        : `it is not valid YAML: ${error.message}`,
      // It would tell where in the parser.
      undefined,
    )
  }
  try {
    return document.toJS() as unknown
  } catch (cause) {
    throw fail(file, undefined, `it is not usable YAML: ${reasonOf(cause)}`, cause) // an alias to nothing, or too many of them
  }
}
