"""The form of an alias: its model, its sampling defaults as a field each, and who may use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth.models import Group

from models_admin.aliases import changes, sampling
from models_admin.aliases.changes import AliasRefused, Wanted
from models_admin.models import Alias, TabbyModel

if TYPE_CHECKING:
    Form = forms.ModelForm[Alias]
else:  # which takes no parameter at run time
    Form = forms.ModelForm

LOADED = ("", "Whatever is loaded")


def catalog() -> list[str]:
    """Return the names of the models that TabbyAPI has."""
    return list(TabbyModel.offered().values_list("name", flat=True))


class AliasForm(Form):
    """What an alias stands for, what it brings, and for whom it is."""

    model = forms.ChoiceField(
        label="Stands for",
        required=False,
        help_text="A change here loads nothing: while its model is not loaded, programs that call it are told so, and in "
        "the chat whatever is loaded answers.",
    )
    system_prompt = forms.CharField(
        required=False,
        max_length=sampling.LONGEST_PROMPT,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 5, "class": "vLargeTextField"}),
        help_text="Put before messages that have none.",
    )
    groups = forms.ModelMultipleChoiceField(
        label="Or only members of",
        queryset=Group.objects.order_by("name"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="Counts where not everybody may use it. Superusers always may.",
    )

    class Meta:
        model = Alias
        fields = ("name", "system_prompt", "everybody", "groups")
        help_texts = {
            "name": "Letters, digits and - _ . : such as “coder”. It cannot be changed: programs have it.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "model" not in self.fields:
            return  # who may only look has no fields
        names, current = catalog(), self.instance.model
        gone = [(current, f"{current} (gone, or retired)")] if current and current not in names else []
        self.fields["model"].choices = [LOADED, *((each, each) for each in names), *gone]  # type: ignore[attr-defined]
        self.initial["model"] = current
        for name in sampling.OPTIONS:
            self.initial[name] = self.instance.sampling.get(name)

    def clean_name(self) -> str:
        """Refuse a name that is taken, or not plain."""
        name: str = self.cleaned_data["name"]
        try:
            changes.check_name(name)
        except AliasRefused as error:
            raise forms.ValidationError(str(error)) from None
        return name

    @property
    def wanted(self) -> Wanted:
        """What a valid form asks for."""
        given = self.cleaned_data
        return Wanted(
            model=given["model"],
            sampling={name: given[name] for name in sampling.OPTIONS},
            system_prompt=given["system_prompt"],
            everybody=given["everybody"],
            groups=[each.name for each in given["groups"]],
        )


for _name, _option in sampling.OPTIONS.items():
    _kind = forms.IntegerField if _option.whole else forms.FloatField
    AliasForm.base_fields[_name] = AliasForm.declared_fields[_name] = _kind(
        label=_option.label,
        required=False,
        min_value=_option.low,  # type: ignore[arg-type]
        max_value=_option.high,  # type: ignore[arg-type]
        help_text=_option.help,
    )


class RetireForm(forms.Form):
    """Where the callers of a retired alias are sent."""

    successor = forms.ChoiceField(
        label="Use instead",
        required=False,
        help_text="Whoever calls the alias is told so.",
    )

    def __init__(self, alias: Alias, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = Alias.objects.filter(retired_at=None).exclude(pk=alias.pk).values_list("name", flat=True)
        self.fields["successor"].choices = [  # type: ignore[attr-defined]
            ("", "Nothing is said"),
            ("Aliases", [(each, each) for each in others]),
            ("Models", [(each, each) for each in catalog()]),
        ]
