//! One set of tables for both databases, in types that both have.

diesel::table! {
    server_state (name) {
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    missions (no) {
        no -> Integer,
        id -> Binary,
        name -> Text,
        election -> Text,
        timezone -> Text,
        levels -> Text,
        sealing_key -> Text,
        created_at -> BigInt,
        min_lat -> Nullable<Double>,
        max_lat -> Nullable<Double>,
        min_lon -> Nullable<Double>,
        max_lon -> Nullable<Double>,
        silent_after -> Nullable<BigInt>,
        untouched_after -> Nullable<BigInt>,
    }
}

diesel::table! {
    ledger_heads (mission) {
        mission -> Integer,
        number -> BigInt,
        chain -> Binary,
        held -> BigInt,
    }
}

diesel::table! {
    entries (mission, number) {
        mission -> Integer,
        number -> BigInt,
        hash -> Binary,
        chain -> Binary,
        kind -> Text,
        subject -> Nullable<Binary>,
        journal -> Nullable<Binary>,
        seq -> Nullable<BigInt>,
        base -> Nullable<Binary>,
        device -> Nullable<Binary>,
        actor -> Nullable<Binary>,
        received_at -> BigInt,
        clock_skew -> Nullable<BigInt>,
        quarantine -> Nullable<Text>,
        standing -> Text,
        sd_jwt -> Binary,
    }
}

diesel::table! {
    ended_histories (mission, epoch) {
        mission -> Integer,
        epoch -> Binary,
        ended_at -> BigInt,
        reason -> Text,
        backup_at -> Nullable<BigInt>,
        kept -> BigInt,
        known -> BigInt,
    }
}

diesel::table! {
    former_numbers (mission, epoch, number) {
        mission -> Integer,
        epoch -> Binary,
        number -> BigInt,
        hash -> Binary,
    }
}

diesel::table! {
    registers (mission, kind, version) {
        mission -> Integer,
        kind -> Text,
        version -> BigInt,
        sha256 -> Binary,
        imported_at -> BigInt,
    }
}

diesel::table! {
    locations (mission, level, code) {
        mission -> Integer,
        level -> Text,
        code -> Text,
        name -> Text,
        parent -> Nullable<Text>,
    }
}

diesel::table! {
    stations (mission, code) {
        mission -> Integer,
        code -> Text,
        name -> Text,
        constituency -> Nullable<Text>,
        lat -> Nullable<Double>,
        lon -> Nullable<Double>,
        registered_voters -> Nullable<BigInt>,
        generated -> Bool,
    }
}

diesel::table! {
    categories (mission, code) {
        mission -> Integer,
        code -> Text,
        stage -> Text,
        definition -> Text,
        severity -> Nullable<Text>,
        labels -> Text,
    }
}

diesel::table! {
    accreditations (mission, id) {
        mission -> Integer,
        id -> Binary,
        number -> Text,
        name -> Text,
        kind -> Text,
        institution -> Text,
        country -> Text,
        stations -> Text,
        pseudonym -> Text,
    }
}

diesel::table! {
    enrolment_codes (code_hash) {
        code_hash -> Binary,
        mission -> Integer,
        accreditation -> Binary,
        issued_at -> BigInt,
        expires_at -> BigInt,
        redeemed_at -> Nullable<BigInt>,
        kid -> Nullable<Text>,
    }
}

diesel::table! {
    erasures (id) {
        id -> Binary,
        mission -> Integer,
        report -> Binary,
        reason -> Text,
        requested_by -> Binary,
        requested_at -> BigInt,
        approved_by -> Nullable<Binary>,
        approved_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    journal_contacts (mission, journal) {
        mission -> Integer,
        journal -> Binary,
        head -> BigInt,
        pending -> BigInt,
        contacted_at -> BigInt,
        gap -> Bool,
    }
}

diesel::table! {
    users (id) {
        id -> Binary,
        email -> Text,
        password_hash -> Text,
        created_at -> BigInt,
        disabled_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    user_roles (user_id, mission, role) {
        user_id -> Binary,
        mission -> Integer,
        role -> Text,
    }
}

diesel::table! {
    devices (mission, id) {
        mission -> Integer,
        id -> Binary,
        kid -> Text,
        jwk -> Text,
        accreditation -> Binary,
        enrolled_number -> BigInt,
        revoked_number -> Nullable<BigInt>,
    }
}

diesel::table! {
    revoked_accreditations (mission, accreditation) {
        mission -> Integer,
        accreditation -> Binary,
        number -> BigInt,
    }
}

diesel::table! {
    reports (mission, first_number) {
        mission -> Integer,
        first_number -> BigInt,
        id -> Binary,
        version -> BigInt,
        head -> Binary,
        revisions -> Integer,
        accreditation -> Nullable<Binary>,
        device -> Nullable<Binary>,
        category -> Text,
        severity -> Nullable<Text>,
        own_severity -> Bool,
        text -> Nullable<Text>,
        folded -> Nullable<Text>,
        station -> Nullable<Text>,
        constituency -> Nullable<Text>,
        lat -> Nullable<Double>,
        lon -> Nullable<Double>,
        accuracy -> Nullable<Double>,
        observed_at -> Nullable<BigInt>,
        filed_at -> Nullable<BigInt>,
        received_at -> BigInt,
        updated_at -> BigInt,
        status -> Text,
        withdrawn -> Bool,
        erased -> Bool,
        flags -> Integer,
        entered_by -> Nullable<Binary>,
        merged_into -> Nullable<Binary>,
    }
}

diesel::table! {
    check_ins (mission, number) {
        mission -> Integer,
        number -> BigInt,
        accreditation -> Binary,
        device -> Binary,
        station -> Text,
        event -> Text,
        at -> Nullable<BigInt>,
        received_at -> BigInt,
    }
}

diesel::table! {
    evidence (mission, number, preview) {
        mission -> Integer,
        number -> BigInt,
        preview -> Bool,
        sha256 -> Binary,
        size -> BigInt,
        media_type -> Text,
        report -> Binary,
        accreditation -> Binary,
        taken_at -> Nullable<BigInt>,
        standing -> Text,
    }
}

diesel::table! {
    evidence_files (mission, sha256) {
        mission -> Integer,
        sha256 -> Binary,
        size -> BigInt,
        completed_at -> BigInt,
        durable_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    evidence_doomed (mission, sha256) {
        mission -> Integer,
        sha256 -> Binary,
    }
}

diesel::table! {
    evidence_senders (mission, sha256, accreditation) {
        mission -> Integer,
        sha256 -> Binary,
        accreditation -> Binary,
    }
}

diesel::table! {
    inbox (mission, accreditation, number) {
        mission -> Integer,
        accreditation -> Binary,
        number -> BigInt,
        position -> Nullable<BigInt>,
    }
}

diesel::table! {
    message_audiences (mission, hash) {
        mission -> Integer,
        hash -> Binary,
        recipients -> Binary,
    }
}

diesel::table! {
    register_lines (mission, kind, version, code) {
        mission -> Integer,
        kind -> Text,
        version -> BigInt,
        code -> Text,
        line -> Nullable<Text>,
    }
}

diesel::table! {
    register_snapshots (mission, kind, version) {
        mission -> Integer,
        kind -> Text,
        version -> BigInt,
        sha256 -> Binary,
        bytes -> BigInt,
    }
}

diesel::table! {
    bundles (sha256) {
        sha256 -> Binary,
        size -> BigInt,
        received_at -> BigInt,
        state -> Text,
        code -> Nullable<Text>,
        settled_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    attention (mission, user_id) {
        mission -> Integer,
        user_id -> Binary,
        report -> Binary,
        deciding -> Bool,
        until -> BigInt,
    }
}

diesel::table! {
    search_progress (mission) {
        mission -> Integer,
        number -> BigInt,
    }
}

diesel::table! {
    triage (report, mission) {
        mission -> Integer,
        report -> Binary,
        assignee -> Nullable<Binary>,
        priority -> Nullable<Text>,
        notes -> Integer,
        number -> BigInt,
        touched_at -> BigInt,
    }
}

diesel::table! {
    case_members (report, mission) {
        mission -> Integer,
        report -> Binary,
        case_id -> Binary,
        stance -> Text,
        number -> BigInt,
    }
}

diesel::table! {
    kept_apart (report, other, mission) {
        mission -> Integer,
        report -> Binary,
        other -> Binary,
        number -> BigInt,
    }
}

diesel::table! {
    second_factors (user_id) {
        user_id -> Binary,
        secret -> Binary,
        since -> BigInt,
        last_step -> BigInt,
    }
}

diesel::table! {
    recovery_codes (user_id, code_hash) {
        user_id -> Binary,
        code_hash -> Binary,
        used_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    sessions (token_hash) {
        token_hash -> Binary,
        user_id -> Binary,
        mission -> Integer,
        proven -> Bool,
        began_at -> BigInt,
        ends_at -> BigInt,
    }
}

diesel::table! {
    device_contacts (device, mission) {
        mission -> Integer,
        device -> Binary,
        heard_at -> BigInt,
    }
}

diesel::joinable!(evidence_doomed -> missions (mission));

diesel::table! {
    audit (id) {
        id -> Binary,
        mission -> Integer,
        at -> BigInt,
        act -> Text,
        actor -> Nullable<Binary>,
        account -> Nullable<Binary>,
        via -> Text,
        details -> Text,
    }
}

diesel::table! {
    evidence_readers (sha256, user_id, mission) {
        mission -> Integer,
        sha256 -> Binary,
        user_id -> Binary,
        first_at -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    accreditations,
    audit,
    bundles,
    categories,
    check_ins,
    device_contacts,
    devices,
    ended_histories,
    enrolment_codes,
    entries,
    erasures,
    evidence,
    evidence_doomed,
    evidence_files,
    evidence_readers,
    evidence_senders,
    former_numbers,
    inbox,
    journal_contacts,
    ledger_heads,
    locations,
    message_audiences,
    missions,
    recovery_codes,
    register_lines,
    register_snapshots,
    registers,
    reports,
    revoked_accreditations,
    second_factors,
    sessions,
    stations,
    triage,
    case_members,
    kept_apart,
    user_roles,
    users,
);
