import { PROFILES } from '../../src/domain/profiles/profiles.ts'

/**
 * `sallyport serve` with one fact changed: Google's issuer, which the profile knows and no setting replaces, is where the emulator is. Everything else is
 * what is shipped.
 */
Object.assign(PROFILES.google.issuer, { fixed: process.env['GOOGLE_ISSUER'] })
await import('../../src/cli/main.ts')
