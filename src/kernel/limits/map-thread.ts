/** The thread that reads source maps, which are as long as who wrote them likes. */
import { type Position, sourceMapOf, type WrittenAt } from '../../source-map.js'
import { workWith } from '../modules/at-work.js'

/** Where code runs; without a column, the first code of the line is meant. */
export interface Place extends Omit<Position, 'column'> {
  column?: number
}

/** Places in modules of a plugin. */
export interface Mapped {
  root: string
  places: Place[]
}

workWith(({ root, places }: Mapped) => {
  const maps = new Map<string, WrittenAt | undefined>()
  return places.map(({ url, line, column }) => {
    if (!maps.has(url)) maps.set(url, sourceMapOf(url, root))
    return maps.get(url)?.(line, column)
  })
})
