"""Step 3 of the Register panel: the model, and what the fit says of itself."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QFormLayout, QHBoxLayout

from ..fitting import MODELS, FitOptions
from .fit_extras import FitExtras, MoreButton
from .model_list import ModelList
from .panel_parts import ACCENT, AMBER, Step, marked, muted, primary, wrapped
from .summary import MODEL_NAMES, NOT_ACCURACY, summarise
from .verdict_card import VerdictCard

if TYPE_CHECKING:
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession


class FitStep(Step):
    """Edits the fit's options and shows its summary, live."""

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        super().__init__(3, "Fit")
        self._session = session
        self._is_asked = False
        self._is_showing = False
        form = QFormLayout()
        form.setHorizontalSpacing(8)
        form.setVerticalSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self.model = QComboBox()
        self.model.setObjectName("bridgecorr_model")
        self.model.setAccessibleName("Model")
        self.model.setToolTip(
            "From stiff to supple. A thin-plate spline follows every landmark; the fewer pairs and "
            "the noisier the clicks, the stiffer the model should be. A Gaussian process learns "
            "from them how smooth it is. The best of all: what predicts left-out pairs best"
        )
        self.model.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.model.setMinimumContentsLength(9)
        for model in (*MODELS, "auto"):
            self.model.addItem(MODEL_NAMES[model], model)
        self.auto = QCheckBox("auto")
        self.auto.setObjectName("bridgecorr_auto")
        self.auto.setToolTip("Choose the smoothing that predicts left-out landmarks best")
        self.smoothing = QDoubleSpinBox()
        self.smoothing.setObjectName("bridgecorr_smoothing")
        self.smoothing.setAccessibleName("Smoothing")
        self.smoothing.setRange(0, 1e9)
        self.smoothing.setMinimumWidth(90)
        self.smoothing.setDecimals(2)
        self.smoothing.setToolTip("λ: 0 passes exactly through every landmark; larger is stiffer")
        row = QHBoxLayout()
        row.addWidget(self.auto)
        row.addWidget(self.smoothing, 1)
        form.addRow("Smoothing", row)
        self.dimensions = QComboBox()
        self.dimensions.setObjectName("bridgecorr_dimensions")
        self.dimensions.setAccessibleName("Dimensions of the map")
        self.dimensions.setToolTip(
            "2-D for flat images: y and x are transformed, z is only shifted"
        )
        self.dimensions.setMinimumWidth(72)
        self.dimensions.addItem("3-D", 3)
        self.dimensions.addItem("2-D", 2)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.model, 3)
        row.addWidget(self.dimensions, 1)
        form.insertRow(0, "Model", row)
        self.body.addLayout(form)
        self.extras = FitExtras()
        self.more = MoreButton(
            self.extras,
            "More options",
            "Odd pairs, how well clicks can be placed, and more",
            "bridgecorr_more",
        )
        self.body.addWidget(self.more)
        self.body.addWidget(self.extras)
        self.fit = primary(
            "Fit", "Fit the landmarks as they are (also happens by itself)", name="bridgecorr_fit"
        )
        self.fit.clicked.connect(self._on_fit)
        self.body.addWidget(self.fit)
        self.summary = wrapped("bridgecorr_summary")
        self.caution = muted(NOT_ACCURACY)
        self.body.addWidget(self.summary)
        self.body.addWidget(self.caution)
        self.compare = ModelList(session, lifeline)
        self.compare.model_chosen.connect(self._on_model_chosen)
        self.compare.smoothing_chosen.connect(self._on_smoothing_chosen)
        self.verdict = VerdictCard(session, lifeline)
        for folded, title, tip, name in (
            (
                self.compare,
                "Compare models",
                "Models, and smoothings of the spline, with their errors (µm) at left-out pairs",
                "bridgecorr_compare_fold",
            ),
            (
                self.verdict,
                "How good is it?",
                "The error to reckon with (µm), how it was found, and what would improve it",
                "bridgecorr_verdict_fold",
            ),
        ):
            self.body.addWidget(MoreButton(folded, title, tip, name))
            self.body.addWidget(folded)
        self._show_options(session.options)
        self.model.activated.connect(self._on_edited)
        self.auto.toggled.connect(self._on_edited)
        self.smoothing.valueChanged.connect(self._on_edited)
        self.dimensions.activated.connect(self._on_edited)
        self.extras.edited.connect(self._on_edited)
        lifeline.connect(session.landmarks_changed, self.refresh)
        lifeline.connect(session.fit_changed, self._on_fit_changed)
        lifeline.connect(session.options_changed, self._on_options_changed)
        self.refresh()

    def options(self) -> FitOptions:
        """The options as they stand in the widgets."""
        asked = self._session.options
        by_itself = asked.smoothing if isinstance(asked.smoothing, str) else "auto"
        return self.extras.applied(
            replace(
                asked,
                model=self.model.currentData(),
                smoothing=by_itself if self.auto.isChecked() else self.smoothing.value(),
                dimensions=self.dimensions.currentData(),
            )
        )

    def refresh(self) -> None:
        """Say what the landmarks and their fit are like now."""
        session = self._session
        said = summarise(session.landmarks, session.options, session.fit, session.fit_error)
        lines = [f'<span style="font-size:13px; font-weight:600">{escape(said.headline)}</span>']
        if said.details:
            lines.append(f'<span style="font-size:11px">{escape(" · ".join(said.details))}</span>')
        lines += [marked("⚠", AMBER, w) for w in said.warnings]
        if said.next_step:
            lines.append(marked("→", ACCENT, said.next_step))
        self.summary.setText("<br>".join(lines))
        self.caution.setVisible(session.fit is not None)

    def _show_options(self, options: FitOptions) -> None:
        self.model.setCurrentIndex(self.model.findData(options.model))
        self.dimensions.setCurrentIndex(self.dimensions.findData(options.dimensions))
        is_auto = isinstance(options.smoothing, str)
        self.auto.setChecked(is_auto)
        if not isinstance(options.smoothing, str):
            self.smoothing.setValue(options.smoothing)
        self.extras.show_options(options)
        self._enable()

    def _enable(self) -> None:
        is_spline = self.model.currentData() in ("tps", "auto")
        self.auto.setEnabled(is_spline)
        self.smoothing.setEnabled(is_spline and not self.auto.isChecked())
        self.smoothing.setSuffix(" µm" if self.dimensions.currentData() == 3 else " µm²")

    def _on_edited(self) -> None:
        if self._is_showing:
            return
        self._enable()
        self._session.set_options(self.options())
        self.refresh()

    def _on_model_chosen(self, model: str) -> None:
        self.model.setCurrentIndex(self.model.findData(model))
        self._on_edited()

    def _on_smoothing_chosen(self, smoothing: str | float) -> None:
        self._session.set_options(replace(self._session.options, smoothing=smoothing))

    def _on_options_changed(self) -> None:
        # set by another, as when a session is opened again
        if self.options() != self._session.options:
            self._is_showing = True
            self._show_options(self._session.options)
            self._is_showing = False
            self.refresh()

    def _on_fit(self) -> None:
        self._is_asked = True
        self._session.refit()

    def _on_fit_changed(self) -> None:
        self.refresh()
        if not self._is_asked:
            return
        self._is_asked = False
        if self._session.fit is None:
            said = summarise(
                self._session.landmarks, self._session.options, None, self._session.fit_error
            )
            self._session.told.emit(" ".join(said.warnings) or said.next_step, True)
        else:
            n = len(self._session.fit.pairs)
            self._session.told.emit(f"Fitted {n} pairs. Next: look at the worst, then warp.", False)
