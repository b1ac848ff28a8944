// The roles that a lead gives.

export const ROLES = ['coordinator', 'lead', 'analyst', 'auditor'] as const;
export type Role = (typeof ROLES)[number];
