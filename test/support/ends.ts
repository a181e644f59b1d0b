/** What has to end, however busy the machine is. */

/** Longer than anything that ends takes. */
const FOR_EVER = 30_000

/** Rejects where that does not end. */
export const ends = async <T>(what: string, act: () => Promise<T>): Promise<T> => {
  let timer: NodeJS.Timeout | undefined
  const hangs = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} does not end`)), FOR_EVER)
  })
  try {
    return await Promise.race([act(), hangs])
  } finally {
    clearTimeout(timer)
  }
}
