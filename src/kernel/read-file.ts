import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'

/** Neither certificates with their chain, keys nor tokens come near; a mistaken mount does not fill the memory. */
const BYTES_MAX = 256 * 1024
/** Some file systems know no sizes. */
const ROOM_LEAST = 16 * 1024
/** Without waiting: opening a pipe that nobody writes to would hold up everything that is looked after here. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK

/** The text of a file; undefined when it cannot be read, is empty, too large or no file. Between two looks the mount may be swapped: the next look finds it. */
export const readText = async (path: string, bytesMax = BYTES_MAX): Promise<string | undefined> => {
  let file: FileHandle | undefined
  try {
    file = await open(path, FLAGS)
    const stat = await file.stat()
    if (!stat.isFile() || stat.size > bytesMax) return undefined
    const room = Math.max(stat.size + 1, ROOM_LEAST)
    const bytes = await readUpTo(file, room)
    // No room left: it is being written. What will be read at the next look is whole.
    return bytes.length === 0 || bytes.length === room ? undefined : bytes.toString('utf8')
  } catch {
    return undefined
  } finally {
    await file?.close().catch(() => undefined)
  }
}

/** As `readText`, at the start, where nothing else has begun yet. */
export const readTextNow = (path: string, bytesMax = BYTES_MAX): string | undefined => {
  let file: number | undefined
  try {
    file = openSync(path, FLAGS)
    const stat = fstatSync(file)
    return stat.isFile() && stat.size <= bytesMax ? readFileSync(file, 'utf8') || undefined : undefined
  } catch {
    return undefined
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

const readUpTo = async (file: FileHandle, bytesMax: number): Promise<Buffer> => {
  const buffer = Buffer.allocUnsafe(bytesMax)
  let length = 0
  while (length < bytesMax) {
    const { bytesRead } = await file.read(buffer, length, bytesMax - length)
    if (bytesRead === 0) break
    length += bytesRead
  }
  return buffer.subarray(0, length)
}
