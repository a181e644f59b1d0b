/**
 * What is in a folder, as it crosses to a plugin: one text, as a list of objects holds its sender for far longer than it takes to read the
 * folder.
 */
import type { FileKind } from './protocol.js'

export interface FolderEntry {
  name: string
  kind: FileKind
}

/** By the digit that stands before the name. */
const KINDS: readonly FileKind[] = ['file', 'folder', 'other']
/** No name has it. */
const END = '/'

export const entryText = ({ name, kind }: FolderEntry): string => KINDS.indexOf(kind) + name + END

/** Made of all of them, one after the other. Sorted. */
export const entriesOf = (listing: string): FolderEntry[] => {
  const texts = listing.split(END)
  texts.pop()
  return texts
    .map((text): FolderEntry => ({ name: text.slice(1), kind: KINDS[Number(text[0])] as FileKind }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}
