import { readFile } from 'node:fs/promises'

/** Neither certificates with their chain, keys nor tokens come near; a mistaken mount does not fill the memory. */
const BYTES_MAX = 256 * 1024

/** The text of a file; undefined when it cannot be read, is empty or too large. Between two looks the mount may be swapped: the next look finds it. */
export const readText = async (path: string): Promise<string | undefined> => {
  try {
    const bytes = await readFile(path)
    return bytes.length === 0 || bytes.length > BYTES_MAX ? undefined : bytes.toString('utf8')
  } catch {
    return undefined
  }
}
