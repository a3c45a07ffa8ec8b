/**
 * The value of one cookie in a `Cookie` header, as it came: nothing is decoded, trimmed or unquoted. Scanned, not parsed: every request pays for it.
 * `doubled`: there are two of this very name, equal or not. Somebody else planted one, and which is ours cannot be told (RFC 6265 §5.4 orders by path
 * length and age only).
 * @param assigned the name and the equals sign
 */
export const scanCookie = (header: string, assigned: string): string | undefined | 'doubled' => {
  const at = nextOf(header, assigned, 0)
  if (at < 0) return undefined
  const from = at + assigned.length
  if (nextOf(header, assigned, from) >= 0) return 'doubled'
  const end = header.indexOf(';', from)
  return end < 0 ? header.slice(from) : header.slice(from, end)
}

/**
 * Where the next cookie of this very name starts. A hit counts only at the beginning of the header or after `;` and blanks: `x__Host-…=` is
 * another cookie, and so is one after a byte that only looks like a blank (NBSP, 0xA0), which servers that trim Unicode take for ours.
 */
const nextOf = (header: string, assigned: string, from: number): number => {
  for (let at = header.indexOf(assigned, from); at >= 0; at = header.indexOf(assigned, at + 1)) {
    let before = at - 1
    while (before >= 0 && isBlank(header.charCodeAt(before))) before -= 1
    if (before < 0 || header.charCodeAt(before) === 0x3b) return at
  }
  return -1
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09
