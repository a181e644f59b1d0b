/** What a call throws, as the PlugbayError it has to be. */
import { PlugbayError } from '#src/errors.js'

export const thrown = async (act: () => unknown): Promise<PlugbayError> => {
  let result: unknown
  try {
    result = await act()
  } catch (error) {
    if (PlugbayError.is(error)) return error
    throw error
  }
  throw new Error(`nothing was thrown; the result is ${JSON.stringify(result)}`)
}
