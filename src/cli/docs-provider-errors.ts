import { ENTRA_CODES } from '../domain/profiles/entra-codes.ts'
import { OAUTH_CODES, type CodeWords } from '../domain/provider-code.ts'
import { page, table } from './docs-pages.ts'
import { STAGE_WORDS } from './error-command.ts'

const rows = (codes: Readonly<Record<string, CodeWords>>, prefix = ''): readonly (readonly string[])[] =>
  Object.entries(codes).map(([code, { stage, means, fix }]) => [`\`${prefix}${code}\``, stage, means, fix])

/** docs/provider-errors.md. */
export const providerErrorsDoc = (): string =>
  page(
    'What providers answer, and what to do',
    'src/domain/provider-code.ts and src/domain/profiles',
    'The code stands as `providerCode` in log lines and audit events, with the fix as `hint` in the log; `sallyport error CODE` says the same. What the gateway itself does about an answer is decided by `error`, `suberror` and `claims` (src/domain/profiles), not by these numbers.',
    table(
      ['stage', 'it is met when'],
      Object.entries(STAGE_WORDS).map(([stage, words]) => [stage, words]),
    ),
    '## OAuth and OpenID Connect',
    table(['code', 'stage', 'means', 'what to do'], rows(OAUTH_CODES)),
    '## Entra',
    table(['code', 'stage', 'means', 'what to do'], rows(ENTRA_CODES, 'AADSTS')),
  )
