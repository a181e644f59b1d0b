/** A text without what is too much of it: it says how long it was, also when it is cut once more. */
const CUT = /… \((\d+) characters\)$/

export const cut = (text: string, most: number): string =>
  text.length <= most ? text : `${text.slice(0, most)}… (${CUT.exec(text)?.[1] ?? text.length} characters)`
