const BEGIN = '-----BEGIN '
const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?-----END \1-----/g

/** Something begins in it that does not end: it is being written. What is cut exactly between two blocks cannot be told from what is meant. */
export const isCutShort = (pem: string): boolean =>
  pem
    .replaceAll(BLOCK, '')
    .split('\n')
    .some((line) => line.startsWith(BEGIN) || (line !== '' && BEGIN.startsWith(line)))
