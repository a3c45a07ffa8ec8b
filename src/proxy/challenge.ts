/** What an upstream said of a token it refused (RFC 6750 §3, RFC 9110 §11.6.1), as far as anybody acts on it. */
export interface Challenge {
  readonly isBearer: boolean
  /** `error`, cut to the characters a code has; nothing else of the text is believed or told. */
  readonly error: string | undefined
}

const CHARS_MAX = 4096
const BEARER = /(?:^|,)\s*bearer(?:\s|$|,)/i
/** Only as a parameter of its own: not the end of another one's name. */
const ERROR = /(?:^|[\s,])error\s*=\s*(?:"([^"\\]{0,256})"|([^\s,"]{1,256}))/i
const CODE = /^[A-Za-z0-9_.-]{1,64}$/

/** undefined: there was none. Quoted texts of other parameters are emptied first, so that what they say is not taken for a parameter. */
export const challengeOf = (header: string | readonly string[] | undefined): Challenge | undefined => {
  if (header === undefined) return undefined
  const text = (typeof header === 'string' ? header : header.join(', ')).slice(0, CHARS_MAX)
  const bare = text.replace(/(?<![\w-])([\w-]+)(\s*=\s*)"(?:[^"\\]|\\.)*(?:"|$)/g, (whole: string, name: string, equals: string) =>
    name.toLowerCase() === 'error' ? whole : `${name}${equals}""`,
  )
  const found = ERROR.exec(bare)
  const code = found?.[1] ?? found?.[2] ?? ''
  return { isBearer: BEARER.test(bare), error: CODE.test(code) ? code : undefined }
}
