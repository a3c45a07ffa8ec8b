import type { SetCookie } from '../../src/domain/set-cookie.ts'

/** `name=value` of a cookie that is about to be set: what a browser would send back. */
export const pairOf = (cookie: SetCookie | undefined): string => `${cookie?.name ?? ''}=${cookie?.value?.reveal() ?? ''}`
