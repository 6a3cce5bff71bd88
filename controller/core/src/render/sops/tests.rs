use rstest::rstest;
use serde_json::json;

use super::*;
use crate::render::{Variables, render_with};

const PATH: &str = "deploy/secret.yaml";

fn file(text: &str) -> SourceFile {
    SourceFile { path: PATH.to_owned(), bytes: text.as_bytes().to_vec() }
}

fn encrypted(kind: &str) -> String {
    format!("ENC[AES256_GCM,data:Tr7o=,iv:1vU=,tag:k==,type:{kind}]")
}

/// A Secret of which the values are encrypted, as SOPS writes it.
fn secret(block: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n    name: db\n    annotations:\n        host: \"${{HOST}}\"\nstringData:\n    PASSWORD: {}\n    PORT: {}\nsops:\n{block}    mac: {}\n    version: 3.13.3\n",
        encrypted("str"),
        encrypted("str"),
        encrypted("str")
    )
}

const AGE: &str =
    "    age:\n        - recipient: age1one\n          enc: x\n        - recipient: age1two\n          enc: x\n";
const PLAIN: &str = "apiVersion: v1\nkind: Secret\nmetadata:\n    name: db\n    annotations:\n        host: ${HOST}\nstringData:\n    PASSWORD: \"${HOST} hunter2\"\n    PORT: \"5432\"\n";

fn seal(text: &str) -> Sealed {
    sealed(&file(text), &Limits::default()).expect("nothing is wrong").expect("it is encrypted")
}

fn refused(text: &str) -> String {
    let errors = sealed(&file(text), &Limits::default()).expect_err("refused");
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// What becomes of a file with what was decrypted of it.
fn opened(text: &str, plain: &str) -> Result<(Opened, Vec<Object>), String> {
    let mut opened = Opened::default();
    let limits = Limits::default();
    opened.add(PATH, &seal(text), plain.as_bytes(), &limits).map_err(|error| error.to_string())?;
    let variables = Variables::new([("HOST".to_owned(), "a.example.org".to_owned())]);
    let objects = render_with(&[file(text)], &limits, Some(&variables), Some(&opened));
    objects.map(|objects| (opened, objects)).map_err(|errors| errors[0].to_string())
}

#[test]
fn what_was_encrypted_is_put_in_and_all_else_is_as_it_was_written() {
    let sealed = seal(&secret(AGE));
    assert_eq!(sealed.recipients, ["age1one", "age1two"]);
    let (opened, objects) = opened(&secret(AGE), PLAIN).expect("decrypted");
    assert_eq!(
        Value::Object(objects[0].json().clone()),
        json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "db", "annotations": {"host": "a.example.org"}},
            "data": {"PASSWORD": STANDARD.encode("${HOST} hunter2"), "PORT": "NTQzMg=="}})
    );
    let secrets = opened.secrets();
    assert!(secrets.contains(&"${HOST} hunter2".to_owned()) && !secrets.contains(&"db".to_owned()), "{secrets:?}");
}

#[test]
fn several_documents_lists_and_empty_ones_keep_their_places() {
    let sops = format!("sops:\n{AGE}    mac: x\n");
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {{name: a}}\n  data:\n    k: {}\n{sops}",
        encrypted("str")
    );
    let text = format!("{sops}---\n{list}---\n{}", secret(AGE));
    let plain = format!(
        "{{}}\n---\napiVersion: v1\nkind: List\nitems:\n    - apiVersion: v1\n      kind: ConfigMap\n      metadata:\n        name: a\n      data:\n        k: \"yes\"\n---\n{PLAIN}"
    );
    let (_, objects) = opened(&text, &plain).expect("decrypted");
    let names: Vec<&str> = objects.iter().map(Object::name).collect();
    assert_eq!((names, &objects[0].json()["data"]), (vec!["a", "db"], &json!({"k": "yes"})));
    // The line is that of the file.
    assert_eq!(objects[0].origin.as_ref().map(|origin| origin.line), Some(12));
}

#[test]
fn a_merge_key_is_merged_as_go_writes_it() {
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n    !!merge <<:\n        k: {}\n    l: x\nsops:\n{AGE}    mac: x\n",
        encrypted("str")
    );
    let plain = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n    name: a\ndata:\n    !!merge <<:\n        k: hunter2\n    l: x\n";
    let (_, objects) = opened(&text, plain).expect("decrypted");
    assert_eq!(objects[0].json()["data"], json!({"k": "hunter2", "l": "x"}));
}

#[rstest]
#[case::pgp("    pgp:\n        - fp: x\n", "encrypted for PGP")]
#[case::aws("    kms:\n        - arn: x\n", "encrypted for AWS KMS")]
#[case::gcp("    gcp_kms:\n        - resource_id: x\n", "encrypted for GCP KMS")]
#[case::azure("    azure_kv:\n        - name: x\n", "encrypted for Azure Key Vault")]
#[case::vault("    hc_vault:\n        - vault_address: x\n", "encrypted for HashiCorp Vault")]
#[case::huawei("    hckms:\n        - key_id: x\n", "encrypted for Huawei Cloud KMS")]
#[case::one_to_come("    moon_kms:\n        - id: x\n", "encrypted for moon_kms")]
#[case::no_list("    kms: {arn: x}\n", "encrypted for AWS KMS")]
#[case::in_a_group("    key_groups:\n        - hc_vault: [{vault_address: x}]\n", "encrypted for HashiCorp Vault")]
#[case::nobody("    age: []\n", "names no age recipient")]
fn what_another_than_an_age_key_may_decrypt_is_refused(#[case] block: &str, #[case] expected: &str) {
    let with_age = if expected.starts_with("names") { String::new() } else { AGE.to_owned() };
    let said = refused(&secret(&format!("{with_age}{block}")));
    assert!(said.starts_with("deploy/secret.yaml:1: this file ") && said.contains(expected), "{said}");
}

#[test]
fn empty_lists_of_other_services_are_what_older_versions_write() {
    let older = format!(
        "    kms: []\n    pgp: []\n    hc_vault: null\n    key_groups:\n        - age: [{{recipient: age1three}}]\n{AGE}"
    );
    let mut recipients = seal(&secret(&older)).recipients;
    recipients.sort();
    assert_eq!(recipients, ["age1one", "age1three", "age1two"]);
}

#[test]
fn a_file_that_cannot_be_read_or_is_not_encrypted_is_told_from_one_that_is() {
    let none = |text: &str| sealed(&file(text), &Limits::default()).expect("nothing is wrong").is_none();
    assert!(none("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: sops}\n"));
    assert!(none("apiVersion: example.org/v1\nkind: Pantry\nmetadata: {name: a}\nsops: {of: bread}\n"));
    assert!(none("sops: {mac: x"), "what is no YAML is told when it is rendered");
    assert!(refused(&format!("{}---\na: b: c\n", secret(AGE))).starts_with("deploy/secret.yaml:19: "));
}

#[rstest]
#[case::another_number("apiVersion: v1\n---\nkind: Secret\n")]
#[case::a_key_is_missing("apiVersion: v1\nstringData: {PASSWORD: x}\n")]
#[case::a_list("apiVersion: v1\nstringData: [x]\n")]
#[case::a_number("apiVersion: v1\nstringData: {PASSWORD: hunter2, PORT: 5432}\n")]
#[case::a_mapping("apiVersion: v1\nstringData: {PASSWORD: {a: hunter2}, PORT: \"1\"}\n")]
#[case::nothing("")]
fn what_has_another_shape_is_refused_and_not_shown(#[case] plain: &str) {
    let said = opened(&secret(AGE), plain).err().expect("refused");
    assert!(said.contains("has another shape") && !said.contains("hunter2"), "{said}");
    let no_yaml = opened(&secret(AGE), "hunter2: [\n").err().expect("refused");
    assert!(no_yaml.contains("is no YAML") && !no_yaml.contains("hunter2"), "{no_yaml}");
}

#[test]
fn each_end_of_sops_is_a_sentence() {
    let sealed = seal(&secret(AGE));
    let said = |code| sealed.unopened(PATH, code).to_string();
    assert!(said(128).contains("it is encrypted for age1one, age1two: put the key of one of these into the Secret"));
    assert!(said(51).contains("somebody changed it after it was encrypted"));
    assert!(said(52).contains("no MAC"));
    assert!(said(25).contains("put in by hand"));
    assert!(said(2).contains("it ended with code 2"));
    assert!(sealed.excessive(PATH).to_string().contains("split it"));
    for code in 0..=255 {
        assert!(said(code).starts_with("deploy/secret.yaml:1: this file cannot be decrypted: "));
    }
}

/// Without decryption, and with it where nothing tells how: whatever bears the marks of SOPS is refused by its field.
#[rstest]
#[case(
    "kind: Secret\nstringData: {A: x, B: \"ENC[AES256_GCM,data:x]\"}",
    "stringData.B of Secret a is what SOPS encrypted"
)]
#[case("kind: Secret\ndata: {A: RU5DW0FFUzI1Nl9HQ00sZGF0YTp4XQ==}", "data.A of Secret a")]
#[case("kind: ConfigMap\ndata: {A: \"ENC[AES256_GCM,data:x]\"}", "data.A of ConfigMap a")]
#[case(
    "kind: Pod\nspec: {containers: [{name: a}, {env: [{value: \"ENC[AES256_GCM,data:x]\"}]}]}",
    "spec.containers[1].env[0].value of Pod a"
)]
#[case("kind: Secret\nstringData: {.env: \"A=ENC[AES256_GCM,data:x]\"}", "stringData..env of Secret a")]
#[case("kind: Secret\ndata: {env: QT1FTkNbQUVTMjU2X0dDTSxkYXRhOnhd}", "data.env of Secret a")]
fn what_is_left_encrypted_is_refused_by_its_field(#[case] object: &str, #[case] expected: &str) {
    let text = format!("apiVersion: v1\nmetadata: {{name: a}}\n{object}\n");
    for opened in [None, Some(&Opened::default())] {
        let errors = render_with(&[file(&text)], &Limits::default(), None, opened).expect_err("refused");
        assert!(errors[0].to_string().contains(expected), "{}", errors[0]);
    }
}

#[test]
fn what_only_quotes_the_marks_is_let_through() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {help: \"values look like ENC[AES256_GCM,data:…]\"}\n";
    assert!(render_with(&[file(text)], &Limits::default(), None, None).is_ok());
}

#[test]
fn a_block_within_a_list_is_told_where_files_are_decrypted() {
    let text =
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: a}, sops: {mac: x}}\n";
    let said = |opened| {
        let errors = render_with(&[file(text)], &Limits::default(), None, opened).expect_err("refused");
        errors[0].to_string()
    };
    assert!(said(None).contains("spec.decryption.secretRef"), "{}", said(None));
    assert!(said(Some(&Opened::default())).contains("sops of Secret a is what SOPS encrypted"));
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_it(text in "\\PC{0,80}", plain in "\\PC{0,80}") {
        let encrypted = secret(&format!("{AGE}    x: {text}\n"));
        let files = [file(&encrypted)];
        if let Ok(Some(sealed)) = sealed(&files[0], &Limits::default()) {
            let mut opened = Opened::default();
            let _ = opened.add(PATH, &sealed, plain.as_bytes(), &Limits::default());
            let _ = render_with(&files, &Limits::default(), None, Some(&opened));
        }
    }
}
