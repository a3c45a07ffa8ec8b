/** In the place of a tenant's id: the issuer is of several. */
export const TENANT_PLACE = '{tenantid}'
/** What an issuer with the place stands for unless `tenant` says more. */
export const SEVERAL = 'organizations'
