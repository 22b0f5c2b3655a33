//! Roles: what a function may do.

use std::collections::BTreeSet;

use super::Error;
use super::fields::Fields;
use super::scope::Scope;
use super::yaml::Node;

/// What a role lets its function do.
#[derive(Clone, Debug)]
pub struct Role {
    /// Logical id in the template.
    pub id: String,
    /// Actions, each with the ARN of what it may be done to.
    pub rights: BTreeSet<(String, String)>,
}

pub(super) fn read(scope: &Scope<'_>, id: &str, node: &Node) -> Result<Role, Error> {
    let role = Fields::new(scope, node, "a role", &["Policies"], &["AssumeRolePolicyDocument", "Description", "Tags"])?;
    let mut rights = BTreeSet::new();
    for policy in role.list("Policies")? {
        let policy = Fields::new(scope, policy, "a policy", &["PolicyDocument"], &["PolicyName"])?;
        let document = policy.nested("PolicyDocument", &["Statement"], &["Version"])?;
        for statement in document.list("Statement")? {
            let known = ["Action", "Effect", "Resource"];
            let statement = Fields::new(scope, statement, "a statement", &known, &["Condition", "Sid"])?;
            let effect = statement.required("Effect")?;
            if scope.text(effect)? != "Allow" {
                return Err(Error::new(effect.line, "the local stack only understands what is allowed"));
            }
            let resources = statement.texts("Resource")?;
            for action in statement.texts("Action")? {
                rights.extend(resources.iter().map(|resource| (action.clone(), resource.clone())));
            }
        }
    }
    Ok(Role { id: id.to_owned(), rights })
}
