/**
 * The memory of WebAssembly that Node's own `fetch` reads answers with. Node 20 and 22 take it when any class of `fetch` is first looked
 * at, and where none can be had they end the process, by a rejection that nobody can handle; later ones take it with the first answer,
 * which fails alone.
 */
export const takeFetchMemory = (): void => void globalThis.Response
